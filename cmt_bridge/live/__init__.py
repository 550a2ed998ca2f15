"""Live: music composed while it plays, and what conducts it."""
