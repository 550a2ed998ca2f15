"""The player: a process that sends MIDI in time and does nothing else."""
