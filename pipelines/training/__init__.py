"""Training: what makes embedders agree on one space, and the made-up world that the small starter learns from."""
