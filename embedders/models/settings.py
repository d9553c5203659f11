"""What stands beside a model of transformers: the settings of its preprocessing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from embedders.errors import SetupError

__all__ = ["PREPROCESSING", "read_settings"]

PREPROCESSING = ("preprocessor_config.json", "processor_config.json")


def read_settings(folder: Path, part: str) -> dict[str, Any]:
    """The settings in ``folder``, empty where there are none; ``part`` of them where a processor holds several.

    ``part`` is ``feature_extractor`` or ``image_processor``. Raises SetupError for a damaged file.
    """
    for path in (folder / name for name in PREPROCESSING):
        if path.is_file():
            try:
                found = json.loads(path.read_text("utf-8"))
                return dict(found.get(part, found))
            except (ValueError, TypeError, AttributeError) as error:
                raise SetupError(f"{path} cannot be read ({error})", "Fetch the file again") from error
    return {}
