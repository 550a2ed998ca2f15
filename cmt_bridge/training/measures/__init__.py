"""What evaluation measures in music: pure functions on notes of the grid."""
