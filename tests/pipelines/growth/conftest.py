"""A folder in memory, as the tests of vector sets have it."""

from tests.pipelines.vectors.conftest import where

__all__ = ["where"]
