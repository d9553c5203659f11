"""Training the starter: three towers that learn, from drawn scenes alone, to put what belongs together together.

::

    scenes ──▶ triples ──▶ loop (loss, augmentation) ──▶ checkpoint ──▶ weights ──▶ report, card
               prepared by        a step is decided          one file,      by the embedders
               the embedders      by plan and number         renamed        that load them
"""

from pipelines.training.starter.plan import Options
from pipelines.training.starter.reporting import report
from pipelines.training.starter.train import train

__all__ = ["Options", "report", "train"]
