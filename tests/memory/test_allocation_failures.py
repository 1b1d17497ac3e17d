"""Out of memory at any point of any operation: MemoryError, and the table is as it was before."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.memory.operations import IN_PYTHON, LEAK_IN_3_11, PARTIAL, REPRS, operations_of
from tests.memory.sweep import CAN_FAIL, Sweep, World
from tests.support import MAPPINGS, SETS

pytestmark = pytest.mark.skipif(
    not CAN_FAIL, reason="this interpreter has no _testcapi, which makes allocations fail"
)
CRASHES = (3, 12) <= sys.version_info < (3, 14)
TYPES = (*MAPPINGS, *SETS, "HashTable")
STATES = {name: ("own", "shared", "watched") for name in TYPES}
STATES |= {"FrozenDict": ("own",), "FrozenSet": ("own",)}


def _cases() -> Iterator[tuple[str, str, str]]:
    for name in TYPES:
        for state in STATES[name]:
            for kind in ("str", "objects") if state == "own" else ("objects",):
                yield name, state, kind


@pytest.fixture
def few_to_collect() -> Iterator[None]:
    """Each operation collects twice: leave out what the test session has gathered so far."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize(("name", "state", "kind"), [*_cases()])
@pytest.mark.usefixtures("few_to_collect")
@pytest.mark.timeout(240)
def test_every_operation(
    ct: Any, monkeypatch: pytest.MonkeyPatch, name: str, state: str, kind: str
) -> None:
    if ct.IMPLEMENTATION == "python":
        pytest.skip("the twin runs as Python code, of which the interpreter may fail any line")
    if CRASHES and state == "watched":
        pytest.skip("CPython 3.12 and 3.13 crash when they have no memory for a closure")
    monkeypatch.setattr(sys, "unraisablehook", lambda ignored: None)  # finalizers out of memory
    untold = REPRS | (LEAK_IN_3_11 if sys.version_info < (3, 12) else set())
    problems = {}
    for label, operation in operations_of(name).items():
        if CRASHES and label in IN_PYTHON:
            continue
        sweep = Sweep(
            lambda: World(ct, name, kind, state),
            operation,
            partial=label in PARTIAL,
            leaks=label not in untold,
        )
        if found := sweep.run():
            problems[label] = found[:4]
    assert not problems, "\n".join(f"{label}: {found}" for label, found in problems.items())
