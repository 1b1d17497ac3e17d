"""`ct-stress list`: the names that the other commands take."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

from .check import FORMATS, MODELS, model_named
from .profiles.cpython import PROFILES
from .profiles.ours import our_profile
from .sampling.faults import BESIDES, FAULTS
from .serial.points import GRANULARITIES
from .serial.strategies import STRATEGIES
from .targets import default_targets
from .verdicts import ExitStatus
from .workloads import WORKLOADS, applicable
from .zoo import ZOO

__all__ = ["add_list_command"]


def add_list_command(commands: Any) -> None:
    """Add `list` to the subcommands of an argument parser; its `handler` runs it."""
    listing = commands.add_parser(
        "list",
        help="name targets, workloads, profiles, models, faults, specimens",
        description="Name what the other commands know, one a line under a head.",
        epilog="exit status: 0, 2 usage error",
    )
    listing.set_defaults(handler=_list)
    listing.add_argument(
        "what",
        nargs="*",
        choices=[*_LISTS, []],
        metavar="WHAT",
        help=f"of {', '.join(_LISTS)} (all)",
    )


def _list(parsed: argparse.Namespace) -> int:
    chosen = parsed.what or list(_LISTS)
    for number, name in enumerate(chosen):
        if number:
            print()
        print(f"{name}:")
        for item, text in _LISTS[name]():
            print(f"  {item:24} {text}".rstrip())
    return ExitStatus.CLEAN


def _targets() -> Iterator[tuple[str, str]]:
    for target in default_targets():
        names = ", ".join(workload.name for workload in applicable(target))
        yield target.name, f"{target.kind.value}; workloads: {names}"
    yield "MODULE:CLASS", "any dict-, set- or deque-like class (--target)"


def _workloads() -> Iterator[tuple[str, str]]:
    for name, workload in WORKLOADS.items():
        yield name, workload.summary


def _profiles() -> Iterator[tuple[str, str]]:
    for target in default_targets():
        profile = our_profile(target.name)
        if profile is not None:
            yield target.name, profile.source
    for name in PROFILES:
        yield name, "what CPython documents (profiles/cpython.py)"
    yield "any other class", "what targets.py says, or its own __stress_profile__"


def _models() -> Iterator[tuple[str, str]]:
    for name in sorted(MODELS):
        yield name, _first_line(type(model_named(name)))
    yield "formats of check", ", ".join(sorted(FORMATS))


def _faults() -> Iterator[tuple[str, str]]:
    for name in (*FAULTS, *BESIDES):
        yield name, "beside some of the scenarios"


def _zoo() -> Iterator[tuple[str, str]]:
    for specimen in ZOO:
        yield specimen.name, specimen.about


def _presets() -> Iterator[tuple[str, str]]:
    yield "bench --quick", "the cells that the goals are about"
    yield "bench --full", "the whole space; takes hours"


def _strategies() -> Iterator[tuple[str, str]]:
    for strategy in STRATEGIES:
        yield strategy, "--strategy of run --serial"
    for granularity in GRANULARITIES:
        yield granularity, "--granularity of run --serial"


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]


_LISTS: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
    "targets": _targets,
    "workloads": _workloads,
    "profiles": _profiles,
    "models": _models,
    "faults": _faults,
    "zoo": _zoo,
    "strategies": _strategies,
    "presets": _presets,
}
