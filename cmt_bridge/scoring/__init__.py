"""What can be asked for: requests as values, and the functions that carry them out.

`pipeline` goes from a picture to a score, `infill` composes bars of a score anew, and a module for each request uses
them. The command line carries a request out by itself; a daemon's worker does the same with the same functions.
"""
