"""Video files as containers: which stream is the picture, when its pictures are shown, whether a file is all there."""
