"""What sampling found, in the words of the campaign's report."""

from __future__ import annotations

import shlex
from typing import Any

from ..options import Options
from ..targets import Target
from ..verdicts import Violation, WorkloadResult
from .evidence import Sampling

__all__ = ["summary", "workload_result"]

_SHOWN_STACK = 40


def workload_result(target: Target, options: Options, sampling: Sampling) -> WorkloadResult:
    """The result of the workload `scenarios`."""
    totals = sampling.totals
    return WorkloadResult(
        target.name,
        "scenarios",
        rounds=totals["scenarios"],
        operations=totals["operations"],
        seconds=sampling.seconds,
        violations=[_violation(target, options, finding) for finding in sampling.findings],
        suppressed=sampling.repeated,
    )


def summary(target: str, sampling: dict[str, Any]) -> list[str]:
    """Lines for the end of a text report: what was exercised and what was promised."""
    coverage = sampling["coverage"]
    rate = sampling["samples"] / sampling["seconds"] if sampling["seconds"] else 0.0
    lines = [
        f"{target}/scenarios: {sampling['samples']:,} samples of {sampling['scenarios']:,} scenarios "
        f"({rate:,.0f} a second; {sampling['judged']:,} judged exactly, the others for soundness), "
        f"{coverage['pairs_met']} of {coverage['pairs_in_all']} pairs of "
        f"{len(coverage['operations'])} operations met, "
        f"{len(coverage['operand_types'])} operations with types of operands, "
        f"{sampling['children']} processes",
    ]
    for text in sampling.get("harness_errors", ()):
        lines.append(f"{target}/scenarios: the harness failed and went on: {text.splitlines()[-1]}")
    promised = sampling["promised"]
    if promised:
        lines.append(
            f"{target}/scenarios: promised by the profile {promised['name']!r} "
            f"({promised['source']}); other changes: {promised['otherwise']['changes']}; "
            f"other reads: {promised['otherwise']['reads']}"
        )
    return lines


def _violation(target: Target, options: Options, finding: dict[str, Any]) -> Violation:
    scenario = finding.get("scenario") or {}
    return Violation(
        check=finding["kind"],
        message=_message(finding),
        target=target.name,
        workload="scenarios",
        seed=finding.get("seed", options.seed),
        round=int(scenario.get("number", 0)),
        rerun=_rerun(target, options, finding),
        operations=tuple(finding["operations"]),
        details="\n".join(_details(finding, scenario)),
        timeline=finding.get("timeline"),
    )


def _message(finding: dict[str, Any]) -> str:
    names = ", ".join(finding.get("names", ()))
    seen = f" ({finding['seen']} of {finding['samples']} samples)" if finding.get("samples") else ""
    when = f" after {finding['seconds']:g} s" if "seconds" in finding else ""
    return f"{finding['message']}{seen}{when} [operations: {names}]"


def _details(finding: dict[str, Any], scenario: dict[str, Any]) -> list[str]:
    lines = ["scenario:", *("  " + line for line in scenario.get("lines", ()))]
    if scenario.get("promised"):
        lines += ["promised:", *("  " + line for line in scenario["promised"])]
    if finding.get("table"):
        lines.append("RESULT | SAMPLES | FREQUENCY | EXPECTED")
        whole = sum(count for _, count, _ in finding["table"]) or 1
        lines += [
            f"  {outcome} | {count} | {count / whole:.2%} | {'yes' if expected else 'NO'}"
            for outcome, count, expected in finding["table"]
        ]
    lines += _reproduced(finding)
    evidence = finding.get("evidence") or {}
    if evidence.get("in flight"):
        lines += ["in flight:", *("  " + line for line in evidence["in flight"])]
        lines += ["journal:", *("  " + line for line in evidence["journal"])]
    if evidence.get("stacks"):
        lines += ["stacks:", *("  " + line for line in evidence["stacks"][:_SHOWN_STACK])]
    return lines


def _reproduced(finding: dict[str, Any]) -> list[str]:
    """The minimal scenario, the token, and the test that was written (stress/repro)."""
    lines = []
    small = finding.get("minimised")
    if small:
        lines += [*small["summary"], *("  " + line for line in small["scenario"]["lines"])]
        lines += [f"  beside it: {name}" for name in small["faults"]]
    token = (small or finding).get("token")
    if token:
        lines.append(f"replay: ct-stress replay {token}")
    file = finding.get("file")
    if file and "path" in file:
        shown = f"reproduced {file['failing']} of {file['samples']}"
        lines.append(f"test: {file['path']} ({shown} when it was written)")
    elif file:
        lines.append(f"test: {file['error']}")
    return lines


def _rerun(target: Target, options: Options, finding: dict[str, Any]) -> str:
    words = ["ct-stress", "run"]
    if options.target_argument:
        words += ["--target", options.target_argument]
    words += ["--only", f"{target.name}/scenarios", "--seed"]
    words.append(str(finding.get("seed", options.seed)))
    if options.budget_seconds is not None:
        words += ["--seconds", f"{options.budget_seconds:g}"]
    return shlex.join(words)
