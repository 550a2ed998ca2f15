"""Pixels in, VideoMetadata out."""
