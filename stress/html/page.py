"""The whole page. It loads nothing: style, script and drawings are in it, and a policy forbids more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from ..documents import Document, Finding
from ..memory import slope_text
from ..options import UsageError
from .assets import SCRIPT, STYLE
from .coverage import pair_matrix, type_matrix, type_table
from .plot import throughput
from .timeline import timeline

__all__ = ["page", "write_page"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def write_page(documents: Sequence[Document], path: str) -> None:
    """Write the page.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(page(documents))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error


def page(documents: Sequence[Document]) -> str:
    """The markup of one page for one or more reports."""
    title = "ct-stress: " + "; ".join(f"{each.command}, {each.verdict}" for each in documents[:3])
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>",
            *[part for n, each in enumerate(documents) for part in _document(each, f"d{n}")],
            f"</main><script>{SCRIPT}</script></body></html>\n",
        ]
    )


def _document(document: Document, name: str) -> Iterator[str]:
    bad = "bad" if document.findings else ""
    yield f'<article><h1>ct-stress {escape(document.command)}: <span class="verdict {bad}">'
    yield f"{escape(document.verdict)}</span></h1>"
    facts = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in document.facts)
    yield f'<dl class="facts">{facts}</dl>'
    if document.findings:
        yield "<h2>Violations</h2>"
    for number, finding in enumerate(document.findings):
        yield from _finding(finding, f"{name}-f{number}")
    if document.workloads:
        yield "<h2>What was exercised</h2>"
        yield "<p>A clean row says only that nothing wrong was seen in what ran.</p>"
        yield _workloads(document.workloads)
        yield throughput(document.raw)
        yield _faults(document)
        yield _memory(document.raw)
    if document.sampling:
        yield "<h2>Coverage</h2>"
        yield type_table(document.sampling)
        for target, sampling in document.sampling.items():
            yield f"<h3>{escape(target)}</h3>"
            yield pair_matrix(target, sampling["coverage"])
            yield type_matrix(target, sampling["coverage"])
        yield "<h2>What was promised</h2>"
        for target, sampling in document.sampling.items():
            yield _promised(target, sampling["promised"])
    yield "</article>"


def _finding(finding: Finding, name: str) -> Iterator[str]:
    yield f'<section class="finding"><h3>{escape(finding.title)}</h3>'
    yield f'<p class="message">{escape(finding.message)}</p>'
    if finding.rerun:
        yield f"<p>Again: <code>{escape(finding.rerun)}</code></p>"
    if finding.timeline:
        yield timeline(finding.timeline, name)
    if finding.table:
        yield _outcomes(finding.table)
    for title, lines in finding.sections:
        text = escape("\n".join(lines))
        yield f"<details><summary>{escape(title)}</summary><pre>{text}</pre></details>"
    yield "</section>"


def _outcomes(rows: list[tuple[str, int, bool]]) -> str:
    whole = sum(count for _, count, _ in rows) or 1
    body = "".join(
        f'<tr><td class="outcome">{escape(outcome)}</td><td>{count:,}</td><td>{count / whole:.2%}</td>'
        f'<td class="{"yes" if expected else "no"}">{"yes" if expected else "NO"}</td></tr>'
        for outcome, count, expected in rows
    )
    return (
        '<div class="scroll"><table class="outcomes"><tr><th scope="col">RESULT</th>'
        f'<th scope="col">SAMPLES</th><th scope="col">FREQUENCY</th><th scope="col">EXPECTED</th></tr>'
        f"{body}</table></div>"
    )


def _workloads(workloads: list[dict[str, Any]]) -> str:
    rows = []
    for done in workloads:
        rate = done["operations"] / done["seconds"] if done["seconds"] else 0.0
        kind = ' class="no"' if done["verdict"] == "violation" else ""
        rows.append(
            f'<tr><td>{escape(done["target"])}</td><td class="t">{escape(done["workload"])}</td>'
            f"<td>{done['rounds']:,}</td><td>{done['operations']:,}</td><td>{rate:,.0f}</td>"
            f"<td{kind}>{escape(done['verdict'])}</td></tr>"
        )
    heads = ("target", "workload", "rounds", "operations", "per second", "verdict")
    head = "".join(
        f'<th scope="col"{" class=t" if n == 1 else ""}>{h}</th>' for n, h in enumerate(heads)
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _faults(document: Document) -> str:
    names = sorted({name for each in document.sampling.values() for name in each["faults"]})
    if not names:
        return ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{escape(target)}</th>'
        + "".join(f"<td>{each['faults'].get(name, 0):,}</td>" for name in names)
        + "</tr>"
        for target, each in document.sampling.items()
    )
    settings = document.raw.get("settings") or {}
    more = "".join(f"<p>{escape(name)}: {count} slices</p>" for name, count in settings.items())
    return (
        '<table class="faults"><caption>Scenarios that ran with a fault</caption>'
        f"<tr><th>target</th>{head}</tr>{body}</table>{more}"
    )


def _memory(raw: dict[str, Any]) -> str:
    memory = raw.get("memory")
    if not memory:
        return ""
    rows = []
    for target, each in memory.items():
        told = escape(slope_text(each).removeprefix("slope "))
        largest = f"{each['largest_bytes'] / (1 << 20):,.0f} MiB"
        rows.append(
            f'<tr><th scope="row">{escape(target)}</th><td>{largest}</td><td>{told}</td></tr>'
        )
    return (
        '<table class="memory"><caption>Memory of child processes</caption><tr><th>target</th>'
        f'<th scope="col">at most</th><th scope="col">slope and its standard error</th></tr>'
        f"{''.join(rows)}</table>"
    )


def _promised(target: str, profile: dict[str, Any]) -> str:
    if not profile:
        return ""
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="t">{escape(text)}</td></tr>'
        for name, text in profile["promises"].items()
    )
    otherwise = profile["otherwise"]
    return (
        f"<details><summary>{escape(target)}: the profile {escape(profile['name'])}, from "
        f"{escape(profile['source'])}</summary><p>Other changes: {escape(otherwise['changes'])}. "
        f'Other reads: {escape(otherwise["reads"])}.</p><div class="scroll">'
        f"<table>{rows}</table></div></details>"
    )
