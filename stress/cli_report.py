"""`ct-stress report FILE`: what a JSON report says, as text or as one HTML file."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from .documents import Document, Finding, read_documents
from .lanes import lanes_of_history, outcome_table
from .options import check_writable
from .report import unmet_lines
from .verdicts import ExitStatus

__all__ = ["add_report_command", "text_of"]

EPILOG = "exit status: 0 read and shown, whatever it says; 2 usage error, or no report"


def add_report_command(commands: Any) -> None:
    """Add `report` to the subcommands of an argument parser; its `handler` runs it."""
    report = commands.add_parser(
        "report",
        help="show a report",
        epilog=EPILOG,
        description="Show a JSON report of run, soak, check or the serialised mode: as "
        "text, with a lane for each thread, or as one HTML file that loads nothing.",
    )
    report.set_defaults(handler=_report)
    report.add_argument("file", metavar="FILE", help="the report")
    report.add_argument("--html", metavar="OUT", help="write one HTML file")
    report.add_argument("--text", action="store_true", help="text, beside --html too")


def _report(parsed: argparse.Namespace) -> int:
    documents = read_documents(parsed.file)
    check_writable(html=parsed.html)
    if parsed.html:
        from .html.page import write_page

        write_page(documents, parsed.html)
    if parsed.text or not parsed.html:
        for document in documents:
            for line in text_of(document):
                print(line)
    return ExitStatus.CLEAN


def text_of(document: Document) -> Iterator[str]:
    """The lines of one report."""
    yield f"ct-stress {document.command}: {document.verdict}"
    for name, value in document.facts:
        yield f"  {name}: {value}"
    for done in document.workloads:
        yield (
            f"  {done['target']}/{done['workload']}: {done['operations']:,} operations in "
            f"{done['rounds']:,} rounds: {done['verdict']}"
        )
    for target, sampling in document.sampling.items():
        faults = ", ".join(f"{name} {count}" for name, count in sampling["faults"].items())
        promised = sampling["promised"]
        yield f"  {target}: {sampling['samples']:,} samples; scenarios with faults: {faults or 'none'}"
        if promised:
            yield f"  {target}: judged by the profile {promised['name']!r} ({promised['source']})"
    for finding in document.findings:
        yield ""
        yield from _finding(finding)
    if document.command == "soak":
        yield from unmet_lines(document.raw)
    yield ""


def _finding(finding: Finding) -> Iterator[str]:
    yield f"VIOLATION: {finding.title}"
    yield f"  {finding.message}"
    if finding.table:
        yield from (f"  {line}" for line in outcome_table(finding.table))
    if finding.timeline and finding.timeline["operations"]:
        yield from (f"  {line}" for line in lanes_of_history(finding.timeline))
    for title, lines in finding.sections:
        yield f"  {title}:"
        yield from (f"    {line}" for line in lines)
    if finding.rerun:
        yield f"  again: {finding.rerun}"
