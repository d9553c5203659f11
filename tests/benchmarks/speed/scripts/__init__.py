"""The contenders, as their users would write them; each function is run in a process of its own by ``contend``."""
