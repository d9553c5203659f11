"""One file, one modality: how its raw inputs become media."""
