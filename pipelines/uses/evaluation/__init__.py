"""What the vectors of a set are worth: protocols with exact definitions, on arrays or on a vector set.

::

    from pipelines import VectorSet
    from pipelines.uses.evaluation import Evaluator, Truth, retrieval

    evaluator = Evaluator(VectorSet.open("vectors"), Truth(ids, label=species, group=recording))
    for outcome in evaluator.run():
        print(outcome.protocol, outcome.columns, outcome.figures)

    retrieval(image_vectors, text_vectors)["hit_rate@5"]      # the same without a set

Every figure comes with the number of rows behind it, a chance level, a 95 % bootstrap interval, its seed and the
hash of the fingerprints of the vectors. scikit-learn and scipy compute what they have; they are loaded on use.
"""

from pipelines.uses.evaluation.classes import class_vectors, zero_shot
from pipelines.uses.evaluation.clusters import clustering
from pipelines.uses.evaluation.evaluator import NEEDS, Evaluator
from pipelines.uses.evaluation.figures import Figure, Outcome, bootstrap
from pipelines.uses.evaluation.neighbours import knn
from pipelines.uses.evaluation.pairs import duplicates, forced_choice, gap, sts
from pipelines.uses.evaluation.probe import linear_probe
from pipelines.uses.evaluation.ranking import chance_levels, positive_ranks, retrieval
from pipelines.uses.evaluation.report import as_markdown
from pipelines.uses.evaluation.truth import Truth

__all__ = [
    "NEEDS",
    "Evaluator",
    "Figure",
    "Outcome",
    "Truth",
    "as_markdown",
    "bootstrap",
    "chance_levels",
    "class_vectors",
    "clustering",
    "duplicates",
    "forced_choice",
    "gap",
    "knn",
    "linear_probe",
    "positive_ranks",
    "retrieval",
    "sts",
    "zero_shot",
]
