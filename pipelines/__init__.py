"""Pipelines: many inputs become aligned vector sets, and what people do with them.

::

    folder, table, iterable          decode · prepare · batch · forward         data/*.parquet + manifest
      records/  ──── plan of parts ────▶  embedding/  ──── rows of a part ────▶  vectors/  ──▶ VectorSet
                                    engines/ runs the parts

    pipeline.py   which embedder for which field; Pipeline(...).run(source, out)
    growth/       a set that follows its source, retries what failed, gains a column: only what is new is computed
    uses/         search and evaluate: read a vector set, never write one
    training/     procedural scenes, the starter's training, heads that align two spaces
    cli/          the command `embed`: parse, call, print

Importing this package loads neither torch nor pyarrow; reading a set needs no embedder::

    from pipelines import Pipeline, VectorSet

    vectors = Pipeline(weights="random:0").run("samples/records", "vectors")
    VectorSet.open("vectors")["image_clip"].vectors    # (n, 512) float32, memory-mapped
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.pipeline import Pipeline
    from pipelines.records import Record
    from pipelines.vectors import VectorSet

__all__ = ["Pipeline", "Record", "VectorSet"]

_HOMES = {
    "Pipeline": "pipelines.pipeline",
    "Record": "pipelines.records",
    "VectorSet": "pipelines.vectors",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the package stays cheap."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
