"""One file, one family of embedders."""
