"""Aligning: a small head, learned from pairs of a vector set, that brings one column into another's space.

::

    pairs ──▶ closed  (ridge, procrustes, cca)  ──▶ judge ──▶ head's folder ──▶ embedders.models.aligned
              learned (linear, mlp)                 test, once   weights, config, report, card
                 ▲
               tune: better settings

The anchor's vectors are never changed, and neither embedder is run: everything comes from stored vectors.
"""

from pipelines.training.align.align import METHODS, Options, align
from pipelines.training.align.card import head_table
from pipelines.training.align.learned import LOSSES, Recipe
from pipelines.training.align.tune import Study, tune

__all__ = ["LOSSES", "METHODS", "Options", "Recipe", "Study", "align", "head_table", "tune"]
