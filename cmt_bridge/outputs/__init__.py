"""Score in, the world: MIDI files, audio, video."""
