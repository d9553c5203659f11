"""``embed list`` and ``embed info``: what is installed, and what one embedder does."""

from __future__ import annotations

import inspect
import json

import typer

from embedders.errors import ContractError, SetupError
from embedders.registry import MODALITIES, Entry, parse, registry
from pipelines.cli.escaped import escaped

__all__ = ["describe_embedder", "list_embedders"]


def list_embedders(*, as_json: bool) -> None:
    """Print every registered name with its kind and provider; ``*`` marks what a run without choice uses."""
    used = {name for modality in registry.entries(MODALITIES) for name in _defaults(modality)}
    entries = registry.entries().values()
    if as_json:
        rows = [
            {
                "name": e.name,
                "kind": e.kind,
                "class": e.target,
                "provider": e.provider,
                "default": e.name in used,
                "problem": e.problem,
                "missing": list(e.missing),
                "install": e.extra,
            }
            for e in entries
        ]
        typer.echo(json.dumps(rows, indent=1))
        return
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        star = "*" if entry.name in used else " "
        typer.echo(escaped(f"{star} {entry.name:<{width}}  {entry.kind}  {entry.provider}{_lacks(entry)}"))
    typer.echo("\n* used by a run without --embed. 'embed info NAME' says more.", err=True)


def describe_embedder(reference: str, *, as_json: bool) -> None:
    """Print an embedder's facts: docstring, provider, spec, options with their values."""
    embedder = registry.create(reference)
    spec = embedder.spec
    entry = registry.entries().get(registry.full_name(parse(reference)[0]))
    facts = {
        "kind": embedder.kind,
        "provider": entry.provider if entry else "given by path",
        "modality": spec.modality,
        "space": spec.space,
        "dim": spec.dim,
        "normalized": spec.normalized,
        "options": dict(embedder.options),
        "details": dict(spec.details),
        "versions": embedder.identity["versions"],
    }
    if as_json:
        typer.echo(json.dumps({"name": reference, **facts}, indent=1, ensure_ascii=False))
        return
    # a family's file says what its classes share: the options of weights, the papers
    for documented in (inspect.getmodule(type(embedder)), type(embedder)):
        if documented is not None and documented.__doc__:
            typer.echo(f"{inspect.cleandoc(documented.__doc__)}\n")
    for name, value in facts.items():
        if isinstance(value, dict):
            typer.echo(f"{name}:")
            for key, held in value.items():
                typer.echo(f"  {key}: {json.dumps(held, ensure_ascii=False)}")
        else:
            typer.echo(f"{name}: {value}")


def _lacks(entry: Entry) -> str:
    if entry.problem:
        return "  NOT USABLE"
    return f"  needs {', '.join(entry.missing)}: pip install '{entry.extra}'" if entry.missing else ""


def _defaults(modality: str) -> tuple[str, ...]:
    try:
        return registry.modality(modality).defaults
    except (SetupError, ContractError) as error:  # one broken package must not hide what the others offer
        typer.echo(escaped(f"embed: {error}"), err=True)
        return ()
