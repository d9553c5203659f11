"""Measurements at a size that tests have no time for; each module runs by ``uv run python -m``."""
