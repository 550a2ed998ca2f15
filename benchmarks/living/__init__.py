"""What `benchmarks/live.py` plays, to whom, and how it is measured; it computes what must be heard by itself."""
