"""Child processes that speak JSON: one message a line, to their standard input and from their standard output."""
