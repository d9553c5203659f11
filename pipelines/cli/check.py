"""``embed check``: does an embedder keep its contract, and what was the worst that was found."""

from __future__ import annotations

import inspect
import json
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

import typer

from embedders import BaseEmbedder, ContractError, EmbedError, SetupError, UsageError
from embedders.conformance import Finding, examine
from embedders.redaction import redacted
from embedders.registry import Entry, parse, registry
from pipelines.cli.escaped import escaped

__all__ = ["check_command"]

WIDTH = 80
NAMES = 40
"""Columns for a check's name; what is left is for what it found."""


@dataclass
class Report:
    """What became of one embedder; ``left_out`` says why it was not checked to the end."""

    name: str
    provider: str
    left_out: str = ""
    findings: list[Finding] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(finding.passed for finding in self.findings)


def check_command(names: Sequence[str], *, everything: bool, weights: str | None, as_json: bool) -> int:
    """Run every check on these embedders, or on all that are installed; returns 0, or 7 where one failed.

    An embedder that is named takes the ``weights`` or raises, as for whatever else is in its way. Of everything,
    those that can take them do, and one that needs options or whose weights are not there is left out, saying so.
    """
    if bool(names) is everything:
        raise UsageError("Name embedders to check, or all of them", "embed check image.clip, or embed check --all")
    references = sorted(registry.entries()) if everything else names
    began, reports = time.perf_counter(), []
    for reference in references:
        report = Report(reference, _entry(reference).provider)
        reports.append(report)
        for line in _examined(report, weights, strict=not everything):
            if not as_json:
                typer.echo(line)
    if as_json:
        typer.echo(json.dumps([{**asdict(r), "passed": r.passed} for r in reports], indent=1, ensure_ascii=False))
    else:
        typer.echo(_summary(reports, time.perf_counter() - began))
    return 0 if all(report.passed for report in reports) else ContractError.exit_code


def _examined(report: Report, weights: str | None, *, strict: bool) -> Iterator[str]:
    """Fill the report, line by line; where it is not strict, nothing of one embedder stops the others."""
    head = [escaped(f"{report.name}  {report.provider}")]
    try:
        embedder = _made(report.name, weights, strict=strict)
        for finding in examine(embedder):
            report.findings.append(finding)
            yield from (*head, *_lines(finding))
            head.clear()
    except (SetupError, UsageError, ContractError) as error:
        if strict:
            raise
        yield from head
        broken = not report.findings and not isinstance(error, UsageError) and not _entry(report.name).missing
        if broken:
            report.findings.append(Finding("it_can_be_made", False, str(error), 0.0))
            yield from _lines(report.findings[0])
        else:
            report.left_out = redacted(str(error))
            yield from _wrapped(f"not checked: {report.left_out}")


def _made(reference: str, weights: str | None, *, strict: bool) -> BaseEmbedder:
    cls = registry.find(parse(reference)[0])
    takes = "weights" in inspect.signature(cls.__init__).parameters
    options = {"weights": weights} if weights is not None and (takes or strict) else {}
    try:
        return registry.create(reference, **options)
    except EmbedError:
        raise
    except TypeError as error:  # what Python says where an option without default is not given
        raise UsageError(f"{reference!r} cannot be made: {error}", "Give options: 'name(option=value)'") from error
    except Exception as error:
        raise ContractError(f"{reference!r} cannot be made: {type(error).__name__}: {error}") from error


def _entry(reference: str) -> Entry:
    name = parse(reference)[0]
    known = registry.entries()
    return known.get(name if name in known else registry.full_name(name), Entry(name, name, "given by path"))


def _lines(finding: Finding) -> Iterator[str]:
    words = escaped(redacted(finding.words))
    verdict, name = "ok  " if finding.passed else "FAIL", finding.check.replace("_", " ")
    fits = finding.passed and len(words) <= WIDTH - NAMES - 8
    yield f"  {verdict}  {name:<{NAMES}}{words if fits else ''}".rstrip()
    if not fits:
        yield from _wrapped(words)


def _wrapped(words: str) -> list[str]:
    indent = " " * 8
    return textwrap.wrap(escaped(words), WIDTH, initial_indent=indent, subsequent_indent=indent)


def _summary(reports: Sequence[Report], seconds: float) -> str:
    findings = [finding for report in reports for finding in report.findings]
    failed = sum(not finding.passed for finding in findings)
    left_out = sum(bool(report.left_out) for report in reports)
    said = f"{failed} of {len(findings)} checks failed" if failed else f"All {len(findings)} checks passed"
    return f"{said} in {seconds:.1f} s" + (f"; {left_out} not checked to the end" if left_out else "")
