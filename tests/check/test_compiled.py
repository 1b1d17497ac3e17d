"""The compiled search: it must be there where it was built, and refuse arrays that do not fit."""

from __future__ import annotations

import importlib.util
import random
from array import array

import pytest

from stress.check import COMPILED, History, judge
from tests.support import run_threads

pytestmark = pytest.mark.skipif(
    not COMPILED, reason="stress/_search is not built for this interpreter"
)


def test_what_is_built_is_used() -> None:
    assert (importlib.util.find_spec("stress._search") is not None) == COMPILED


def _search(**changed: object) -> object:
    from stress import _search

    arguments: dict[str, object] = {
        "kind": 0,
        "parts": array("q", (0, 1)),
        "initial": array("q", (0,)),
        "calls": array("q", (1,)),
        "returns": array("q", (2,)),
        "first": array("q", (0, 1)),
        "program": array("q", (0, 0, 1, 0, 0, 0, 3, 0, 0, 0)),
        "step": None,
        "seconds": 1.0,
        "memory": 1 << 20,
        "max_steps": 1000,
        "want_paths": False,
    }
    arguments.update(changed)
    return _search.search(*arguments.values())  # type: ignore[arg-type]


def test_numbers_in_numbers_out() -> None:
    assert _search() == [None]
    assert _search(want_paths=True) == [(0, [0], -1, 1)]
    assert _search(initial=array("q", (7,))) == [(1, [], 0, 1)]
    assert _search(memory=10) == [(3, [], -1, 0)]


@pytest.mark.parametrize(
    "changed",
    [
        {"returns": array("q")},
        {"parts": array("q", (0, 2))},
        {"parts": array("q")},
        {"parts": array("q", (1, 0))},
        {"initial": array("q")},
        {"first": array("q", (0, 2))},
        {"first": array("q", (0, -1))},
        {"program": array("q", (0,) * 9)},
        {"kind": 9},
        {"kind": 3, "first": array("q", (0,))},
        {"calls": b"odd"},
    ],
)
def test_arrays_that_do_not_fit(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        _search(**changed)


def test_an_error_in_the_step_comes_out() -> None:
    def step(state: int, kind: int) -> int:
        raise RuntimeError("from the model")

    with pytest.raises(RuntimeError, match="from the model"):
        _search(kind=3, first=array("q", (0,)), step=step)


def test_several_threads_judge_at_once() -> None:
    rng = random.Random(3)
    history = History("register")
    for number in range(300):
        at = 10 * number
        history.append(0, "write", (number,), None, at, at + rng.randrange(40))
    verdicts = run_threads(lambda: judge(history).outcome, count=4)
    assert len({str(verdict) for verdict in verdicts}) == 1
