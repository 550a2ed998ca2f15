"""What `benchmarks/soak.py` is made of: a daemon to hurt, the ways to hurt it, and the count of what is left."""
