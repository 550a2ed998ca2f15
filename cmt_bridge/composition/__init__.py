"""Pure functions between the picture, tokens and the score."""
