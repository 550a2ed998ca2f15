"""MIDI files as bytes, events and notes: one reader, one pairing of ends with beginnings, one reading of text."""
