"""Reports in files: what `run`, `soak`, `check --json`, `replay` and the serialised mode wrote.

Each becomes a `Document` with the same parts, whatever wrote it, so that text and HTML are made of
one shape.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .options import UsageError

__all__ = ["Document", "Finding", "documents_of", "read_documents"]


@dataclass
class Finding:
    """One thing that was found wrong.

    `table` are (outcome, samples, expected) rows, `sections` further lines for people under a title,
    `timeline` the operations as histories.py writes them.
    """

    title: str
    message: str
    kind: str = ""
    rerun: str = ""
    timeline: dict[str, Any] | None = None
    table: list[tuple[str, int, bool]] = field(default_factory=list)
    sections: list[tuple[str, list[str]]] = field(default_factory=list)


@dataclass
class Document:
    """One report. `facts` are (what, value) pairs for its head; `raw` is what was read."""

    command: str
    verdict: str
    facts: list[tuple[str, str]]
    findings: list[Finding]
    raw: dict[str, Any]

    @property
    def workloads(self) -> list[dict[str, Any]]:
        return list(self.raw.get("workloads") or ())

    @property
    def sampling(self) -> dict[str, dict[str, Any]]:
        return dict(self.raw.get("sampling") or {})


def read_documents(path: str) -> list[Document]:
    """The reports in a file.

    Raises:
        UsageError: it cannot be read, or nothing of ours wrote it.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path}: {reason}") from error
    try:
        return documents_of(list(_values(text)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, UsageError):
            raise UsageError(f"{path}: {error}") from error
        raise UsageError(
            f"{path} is not a report of ct-stress: {type(error).__name__}: {error}"
        ) from error


def _values(text: str) -> Iterator[Any]:
    """One JSON document, or one a line."""
    try:
        yield json.loads(text)
        return
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
    for line in lines:
        yield json.loads(line)


def documents_of(values: list[Any]) -> list[Document]:
    """Documents of JSON data.

    Raises:
        UsageError: something is in it that no command writes.
    """
    documents = []
    for value in values:
        if not isinstance(value, dict):
            raise UsageError("a JSON object was expected")
        if "workloads" in value and "environment" in value:
            documents.append(_campaign(value))
        elif "verdict" in value and "file" in value:
            documents.append(_checked(value))
        elif "findings" in value:
            documents.append(_serial(value))
        elif "kind" in value and "message" in value:
            documents.append(_serial({"command": "replay", "findings": [value]}))
        else:
            raise UsageError(
                "it is no report of ct-stress run, soak, check --json, replay or the serialised mode"
            )
    if not documents:
        raise UsageError("there is no report in it")
    return documents


# -- run and soak ----------------------------------------------------------------------------------


def _campaign(value: dict[str, Any]) -> Document:
    environment, options = value["environment"], value["options"]
    operations = sum(done["operations"] for done in value["workloads"])
    facts = [
        *_where(environment),
        ("seed", str(options["seed"])),
        ("threads", str(options["threads"])),
        ("target", options.get("target_argument") or "the tables of the package"),
        ("time", f"{value['seconds']:g} s"),
        ("operations", f"{operations:,}"),
    ]
    if "ended" in value:
        facts.append(("ended", str(value["ended"])))
    findings = list(_violations(value))
    verdict = _verdict(findings)
    if not operations and not findings:
        verdict = "nothing was exercised"
    return Document(value.get("command", "run"), verdict, facts, findings, value)


def _verdict(findings: list[Finding]) -> str:
    if not findings:
        return "no violation seen"
    return f"{len(findings)} violation{'s' * (len(findings) > 1)}"


def _where(environment: dict[str, Any]) -> list[tuple[str, str]]:
    free = "free-threaded build, " if environment["free_threaded_build"] else ""
    gil = "on" if environment["gil_enabled"] or environment.get("gil_enabled_at_end") else "off"
    return [
        ("interpreter", f"{environment['python_implementation']} {environment['python']}"),
        ("GIL", f"{free}GIL {gil}"),
        ("implementation", str(environment["implementation"])),
        ("platform", f"{environment['platform']}, {environment['cpus']} CPUs"),
    ]


def _violations(value: dict[str, Any]) -> Iterator[Finding]:
    for done in value["workloads"]:
        sampled: list[dict[str, Any]] = []
        if done["workload"] == "scenarios":
            sampled = (value.get("sampling") or {}).get(done["target"], {}).get("findings", [])
        for number, violation in enumerate(done["violations"]):
            same = number < len(sampled) and sampled[number]["kind"] == violation["check"]
            yield _violation(violation, sampled[number] if same else {})


def _violation(violation: dict[str, Any], sampled: dict[str, Any]) -> Finding:
    sections = []
    scenario = sampled.get("scenario") or {}
    if scenario:
        sections.append(("Scenario", list(scenario.get("lines", ()))))
        sections.append(("Promised", list(scenario.get("promised", ()))))
    elif violation["operations"]:
        sections.append(("Operations", list(violation["operations"])))
    if sampled.get("faults"):
        sections.append(("Faults that were on", list(sampled["faults"])))
    evidence = sampled.get("evidence") or {}
    for key, title in (
        ("in flight", "Operations in flight"),
        ("stacks", "Stacks"),
        ("standard error", "Standard error"),
    ):
        if evidence.get(key):
            sections.append((title, list(map(str, evidence[key]))))
    if not sampled and violation["details"]:
        sections.append(("Details", violation["details"].splitlines()))
    small = sampled.get("minimised") or {}
    if small:
        lines = [*small.get("summary", ()), *(small.get("scenario") or {}).get("lines", ())]
        sections.append(("Minimised", list(map(str, lines))))
    token = (small or sampled).get("token")
    if token:
        sections.append(("Replay", [f"ct-stress replay {token}"]))
    file = sampled.get("file") or {}
    if file:
        sections.append(("Test that repeats it", [str(file.get("path") or file.get("error"))]))
    return Finding(
        f"{violation['check']} in {violation['target']}/{violation['workload']}, "
        f"round {violation['round']}, seed {violation['seed']}",
        violation["message"],
        violation["check"],
        violation["rerun"],
        violation.get("timeline") or sampled.get("timeline"),
        [(str(row[0]), int(row[1]), bool(row[2])) for row in sampled.get("table", ())],
        [(title, lines) for title, lines in sections if lines],
    )


# -- the others ------------------------------------------------------------------------------------


def _checked(value: dict[str, Any]) -> Document:
    facts = [
        ("file", str(value["file"])),
        ("model", str(value.get("model") or "?")),
        ("operations", f"{value['operations']:,}"),
        ("parts judged apart", f"{value['parts']:,}"),
    ]
    if value.get("key") is not None:
        facts.append(("key", str(value["key"])))
    findings = []
    if value["verdict"] == "illegal":
        sections = [
            ("What is wrong, by name", list(value.get("anomalies", ()))),
            ("State after the longest linearizable prefix", [str(value.get("state", ""))]),
        ]
        findings.append(
            Finding(
                f"{value['file']} is not linearizable",
                value["reason"],
                "illegal",
                timeline=value.get("history"),
                sections=[(title, lines) for title, lines in sections if any(lines)],
            )
        )
    elif value["verdict"] == "unknown":
        facts.append(("reason", value["reason"]))
    return Document("check", str(value["verdict"]), facts, findings, value)


_SERIAL = (
    "target",
    "seed",
    "strategy",
    "granularity",
    "scenarios",
    "skipped",
    "schedules",
    "steps",
    "seconds",
    "profile",
    "reproduced",
)


def _serial(value: dict[str, Any]) -> Document:
    facts = [(name, str(value[name])) for name in _SERIAL if name in value]
    if "environment" in value:
        facts = [*_where(value["environment"]), *facts]
    if value.get("pairs"):
        facts.append(("pairs of operations", str(len(value["pairs"]))))
    findings = []
    for found in value["findings"]:
        token = found.get("token")
        findings.append(
            Finding(
                f"{found.get('kind') or 'finding'}"
                + (f" in {value['target']}" if "target" in value else ""),
                str(found.get("message", "")),
                str(found.get("kind", "")),
                f"ct-stress replay {token}" if token else "",
                found.get("timeline"),
                [(str(row[0]), int(row[1]), bool(row[2])) for row in found.get("table", ())],
                [("Step by step", str(found["text"]).splitlines())] if found.get("text") else [],
            )
        )
    verdict = _verdict(findings)
    return Document(value.get("command", "run --serial"), verdict, facts, findings, value)
