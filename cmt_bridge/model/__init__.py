"""Control in, token rows out: the Controllable Music Transformer in plain torch."""
