"""Plain values shared by every stage: standard library and numpy only."""
