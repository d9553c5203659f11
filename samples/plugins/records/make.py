"""Writes the series of this folder: fourteen days of hourly readings, each with the rhythm that its name says."""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
HOURS = np.arange(14 * 24)

# hours of a round, level, swing, noise; another seed of noise for each
SERIES = {
    "daily_baker": (24, 40.0, 12.0, 2.0),
    "daily_office": (24, 300.0, 90.0, 25.0),
    "daily_street": (24, 55.0, 8.0, 1.5),
    "tide_harbour": (12.4, 2.0, 1.6, 0.1),
    "tide_river": (12.4, 310.0, 45.0, 6.0),
    "weekly_market": (168, 20.0, 9.0, 1.0),
    "weekly_school": (168, 150.0, 60.0, 9.0),
}

for seed, (name, (hours, level, swing, noise)) in enumerate(SERIES.items()):
    readings = level + swing * np.sin(2 * np.pi * HOURS / hours + seed)
    readings += np.random.default_rng(seed).normal(0, noise, len(HOURS))
    lines = [" ".join(f"{reading:.1f}" for reading in day) for day in readings.reshape(14, 24)]
    (HERE / f"{name}.series").write_text("\n".join(lines) + "\n")

(HERE / "broken.series").write_text("40.1 39.8 n/a 41.0\n")
