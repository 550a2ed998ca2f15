"""From a folder of MIDI files to weights."""
