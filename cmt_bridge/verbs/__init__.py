"""What can be asked for: requests as values, and the functions that carry them out.

The command line carries a request out by itself; a daemon's worker does the same with the same functions.
"""
