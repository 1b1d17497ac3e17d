"""Tests whose target is sampled: the campaign of ct-stress, for one class, as a test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..options import UsageError
from ..repro.reproduce import reproduce
from ..sampling.supervisor import sample
from .settings import Settings

__all__ = ["run_sampled"]


def run_sampled(item: Any, settings: Settings) -> None:
    """Sample the target in child processes; pytest's failure when something was found."""
    settings.found_target()
    address, root = _address(settings.target)
    try:
        with _path(root):
            if settings.serial:
                _serial(address, settings)
            else:
                _native(address, settings)
    except UsageError as error:
        pytest.fail(f"@concurrent: {error}", pytrace=False)


def _native(address: str, settings: Settings) -> None:
    result = sample(address, settings.seed, settings.seconds, operations=settings.rounds, enough=1)
    if not result.findings:
        if not result.totals["samples"]:
            pytest.fail(
                f"@concurrent: {address} was not sampled once in {settings.seconds:g} s; give it more",
                pytrace=False,
            )
        return
    found = result.findings[:1]
    profile = str(result.profile.get("name", ""))
    reproduce(address, settings.seed, found, settings.minimise, settings.repro_dir, profile)
    pytest.fail(_told(address, found[0], result.profile, settings), pytrace=False)


def _told(
    address: str, finding: dict[str, Any], profile: dict[str, Any], settings: Settings
) -> str:
    small = finding.get("minimised") or {}
    scenario = small.get("scenario") or finding.get("scenario") or {}
    lines = [
        f"{address}: {finding['kind']}: {small.get('message') or finding['message']}",
        "",
        *["  " + line for line in scenario.get("lines", ())],
        *[f"  beside it: {name}" for name in small.get("faults", finding.get("faults") or ())],
        "",
        *small.get("summary", ()),
        f"promised by the profile {profile.get('name')!r}: {profile.get('source')}",
    ]
    table = finding.get("table") or ()
    if table:
        lines += ["", "found with these outcomes:"]
    lines += [
        f"  {outcome} | {count} | {'expected' if expected else 'NOT EXPECTED'}"
        for outcome, count, expected in table
    ]
    evidence = finding.get("evidence") or {}
    lines += ["  " + line for line in evidence.get("in flight", ())]
    lines += ["  " + line for line in evidence.get("stacks", ())[:30]]
    token = small.get("token") or finding.get("token")
    if token:
        lines += ["", f"ct-stress replay {token}"]
    file = finding.get("file") or {}
    if file:
        lines.append(f"standalone test: {file.get('path') or file.get('error')}")
    return "\n".join([*lines, settings.again()])


def _serial(address: str, settings: Settings) -> None:
    from ..serial import SerialError
    from ..serial.scenarios import ScenarioSearch

    search = ScenarioSearch(address, settings.seed)
    try:
        search.run(settings.seconds, settings.rounds or 10**6, lambda finding: None)
    except SerialError as error:
        pytest.fail(f"@concurrent: {error}", pytrace=False)
    if search.findings:
        text = search.findings[0].text
        pytest.fail(f"{address}, one thread at a time:\n{text}", pytrace=False)


def _address(target: Any) -> tuple[str, str]:
    """`module:Class`, and the folder from which the module can be imported."""
    module, name = getattr(target, "__module__", ""), getattr(target, "__qualname__", "")
    found = sys.modules.get(module)
    if "<" in name or found is None or not name:
        pytest.fail(
            f"@concurrent: {target!r} must be at the top of a module: it is imported by child processes",
            pytrace=False,
        )
    file = getattr(found, "__file__", None)
    if not file:
        return f"{module}:{name}", ""
    path = Path(file)
    depth = len(module.split(".")) - (path.stem != "__init__")
    root = path.parents[depth] if depth < len(path.parents) else path.parent
    return f"{module}:{name}", str(root)


@contextmanager
def _path(root: str) -> Iterator[None]:
    """Let child processes find modules there; they take over `sys.path`."""
    if not root or root in sys.path:
        yield
        return
    sys.path.append(root)
    try:
        yield
    finally:
        sys.path.remove(root)
