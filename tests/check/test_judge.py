"""Verdicts: what they name, when they stay unknown, initial content, iterations, windows, threads."""

from __future__ import annotations

import random
from typing import Any

import pytest

from stress.check import (
    COMPILED,
    History,
    Model,
    ModelError,
    Outcome,
    Raised,
    Recorder,
    Status,
    anomalies,
    conservation,
    judge,
    judge_windows,
)
from tests.support import run_threads

SEARCHES = [False, True] if COMPILED else [False]
TWICE, NOWHERE = "item from nowhere or twice", "value from nowhere"
both = pytest.mark.parametrize("compiled", SEARCHES)
Row = tuple[Any, ...]


def history_of(*rows: Row, model: str | None = None) -> History:
    """Rows (client, method, args, result, invoke, response[, status])."""
    made = History(model)
    for row in rows:
        made.append(*row)
    return made


@both
def test_an_illegal_verdict_names_prefix_and_operation(compiled: bool) -> None:
    history = history_of(
        (0, "set", ("k", 1), None, 1, 2),
        (0, "set", ("k", 2), None, 3, 4),
        (1, "get", ("k",), 1, 5, 6),
        (2, "get", ("other",), None, 1, 6),
    )
    verdict = judge(history, "dict", compiled=compiled)
    assert verdict.outcome is Outcome.ILLEGAL
    assert verdict.key == "k"
    assert [op.index for op in verdict.prefix] == [0, 1]
    assert verdict.blocked is not None and verdict.blocked.index == 2
    text = verdict.explanation()
    assert "stale read" in text and "cannot be placed: client 1: get('k') -> 1" in text
    assert verdict.as_json()["verdict"] == "illegal"
    with pytest.raises(TypeError, match="three outcomes"):
        bool(verdict)


@both
def test_an_unknown_operation_may_take_effect_late_or_never(compiled: bool) -> None:
    write = (0, "write", (1,), None, 1, None, Status.INFO)
    for answers, wanted in (
        ((None, 1), "ok"),
        ((None, None), "ok"),
        ((1, 1), "ok"),
        ((1, None), "illegal"),
    ):
        reads = [(1, "read", (), a, 2 + 2 * i, 3 + 2 * i) for i, a in enumerate(answers)]
        verdict = judge(history_of(write, *reads), "register", compiled=compiled)
        assert str(verdict.outcome) == wanted, answers


@both
def test_a_failed_operation_had_no_effect(compiled: bool) -> None:
    history = history_of(
        (0, "write", (1,), None, 1, 2, Status.FAIL),
        (0, "read", (), 1, 3, 4),
        model="register",
    )
    assert judge(history, compiled=compiled).outcome is Outcome.ILLEGAL


def _puzzle(size: int) -> History:
    """Overlapping additions whose total cannot be: every subset has to be tried."""
    rows: list[Row] = [(i, "add", (2**i,), None, 1, 100) for i in range(size)]
    return history_of(*rows, (size, "read", (), -1, 2, 99))


@both
def test_deadline_and_memory_cap_give_unknown(compiled: bool) -> None:
    late = judge(_puzzle(40), "counter", deadline=0.05, compiled=compiled)
    assert (late.outcome, late.reason) == (
        Outcome.UNKNOWN,
        "the deadline passed before the search ended",
    )
    full = judge(_puzzle(40), "counter", memory=1 << 20, compiled=compiled)
    assert (full.outcome, full.reason) == (
        Outcome.UNKNOWN,
        "the memory cap was reached before the search ended",
    )
    assert "unknown: the memory cap" in full.explanation()
    assert judge(_puzzle(6), "counter", compiled=compiled).outcome is Outcome.ILLEGAL


@both
def test_states_count_against_the_memory_cap(compiled: bool) -> None:
    class Growing(Model):
        name = "growing"
        initial = ()

        def step(self, state: Any, op: Any) -> Any:
            return (*state, op.args[0])

    history = history_of(*((0, "add", (i,), None, 2 * i, 2 * i + 1) for i in range(2000)))
    verdict = judge(history, Growing(), memory=1 << 20, compiled=compiled)
    assert verdict.outcome is Outcome.UNKNOWN


@both
def test_initial_content(compiled: bool) -> None:
    history = history_of(
        (0, "pop", ("a",), 1, 1, 2),
        (0, "get", ("b",), 2, 3, 4),
        model="dict",
    )
    assert judge(history, compiled=compiled).outcome is Outcome.ILLEGAL
    assert judge(history, initial={"a": 1, "b": 2}, compiled=compiled).ok
    whole = history_of((0, "popitem", (), ("b", 2), 1, 2), (0, "len", (), 1, 3, 4))
    assert judge(whole, "dict", initial={"a": 1, "b": 2}, compiled=compiled).ok
    assert not judge(whole, "dict", initial={"b": 2, "a": 1}, compiled=compiled).ok
    assert judge(whole, "dict-unordered", initial={"b": 2, "a": 1}, compiled=compiled).ok
    member = history_of((0, "remove", (7,), None, 1, 2))
    assert judge(member, "set", initial={7}, compiled=compiled).ok
    assert not judge(member, "set", initial={8}, compiled=compiled).ok


@both
@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        (("a",), "ok"),  # b came or went meanwhile
        (("a", "b"), "ok"),
        (("b",), "illegal"),  # a was there from start to end
        (("a", "c"), "illegal"),  # c never was
        (("a", "a"), "illegal"),
    ],
)
def test_weakly_consistent_iteration(compiled: bool, keys: tuple[str, ...], wanted: str) -> None:
    history = history_of(
        (0, "set", ("a", 1), None, 1, 2),
        (0, "set", ("b", 1), None, 4, 5),
        (1, "iter", (), keys, 3, 9),
        (0, "get", ("c",), None, 6, 7),
    )
    verdict = judge(history, "dict", compiled=compiled)
    assert str(verdict.outcome) == wanted
    assert judge_windows([(history, None)], "dict", compiled=compiled)[0].outcome is verdict.outcome
    if keys == ("a", "a"):
        assert "twice" in verdict.explanation()


@both
def test_snapshots_cut_a_history_into_windows(compiled: bool) -> None:
    rows: list[Row] = []
    for number in range(5):
        at = 10 * number
        rows += [(t, "set", (t, number), None, at + 1, at + 5) for t in range(3)]
        rows.append((9, "snapshot", (), {t: number for t in range(3)}, at + 7, at + 8))
    verdict = judge(history_of(*rows), "dict-unordered", compiled=compiled)
    assert (verdict.outcome, verdict.parts) == (Outcome.OK, 5)
    rows[7] = (9, "snapshot", (), {0: 1, 1: 1, 2: 0}, 17, 18)
    verdict = judge(history_of(*rows), "dict-unordered", compiled=compiled)
    assert verdict.outcome is Outcome.ILLEGAL
    assert verdict.blocked is not None and verdict.blocked.index == 7


@both
def test_windows_are_judged_apart(compiled: bool) -> None:
    fine = history_of((0, "popitem", (), ("a", 1), 1, 2), (1, "len", (), 0, 1, 3))
    wrong = history_of(
        (0, "len", (), 1, 1, 2), (1, "clear", (), None, 3, 4), (0, "len", (), 1, 5, 6)
    )
    found = judge_windows(
        [(fine, {"a": 1}), (wrong, None), (fine, None)], "dict", compiled=compiled
    )
    assert [str(verdict.outcome) for verdict in found] == ["ok", "illegal", "illegal"]
    assert found[1].blocked is not None and found[1].blocked.result == 1


@both
def test_an_absurd_answer_is_illegal_and_no_error(compiled: bool) -> None:
    for method, answer in (
        ("popitem", 3),
        ("snapshot", None),
        ("len", "x"),
        ("iter", ("a", "a")),
        ("pop", []),
    ):
        args = ("k",) if method == "pop" else ()
        history = history_of((0, method, args, answer, 1, 2), (0, "len", (), 0, 3, 4))
        assert judge(history, "dict", compiled=compiled).outcome is Outcome.ILLEGAL, method


@both
def test_unknown_pops_may_have_taken_anything(compiled: bool) -> None:
    rows: list[Row] = [
        (0, "add", (1,), None, 1, 2),
        (0, "add", (2,), None, 3, 4),
        (1, "pop", (), None, 5, None, Status.INFO),
    ]
    for left, wanted in (({1}, "ok"), ({2}, "ok"), ({1, 2}, "ok"), (set(), "illegal")):
        history = history_of(*rows, (0, "copy", (), frozenset(left), 6, 7))
        assert str(judge(history, "set", compiled=compiled).outcome) == wanted, left


def test_an_unknown_method_is_named() -> None:
    history = history_of((0, "frobnicate", (), None, 1, 2))
    with pytest.raises(ModelError, match="operation 0: the model 'dict' does not know"):
        judge(history, "dict")
    with pytest.raises(ModelError, match="no model is called 'x'; there are cas-register"):
        judge(history, "x")
    with pytest.raises(ValueError, match="name one"):
        judge(history)


@both
def test_a_model_that_fails_is_named(compiled: bool) -> None:
    history = history_of((0, "put", (), None, 1, 2))
    with pytest.raises(ModelError, match=r"'queue' failed at operation 0.*IndexError"):
        judge(history, "queue", compiled=compiled)


@both
def test_threads_share_many_keys(compiled: bool) -> None:
    rng = random.Random(5)
    rows: list[Row] = []
    content: dict[int, int] = {}
    for number in range(6000):
        key = rng.randrange(40)
        at = 10 * number
        if rng.random() < 0.5:
            rows.append((0, "get", (key,), content.get(key), at, at + 9))
        else:
            content[key] = number
            rows.append((0, "set", (key, number), None, at, at + 9))
    history = history_of(*rows)
    verdict = judge(history, "dict", threads=3, compiled=compiled)
    assert (verdict.outcome, verdict.parts, verdict.operations) == (Outcome.OK, 40, 6000)
    history.results[rows.index(next(r for r in rows if r[1] == "get" and r[3]))] = -1
    assert judge(history, "dict", threads=3, compiled=compiled).outcome is Outcome.ILLEGAL


def test_anomalies_have_names() -> None:
    found = anomalies(
        history_of(
            (0, "set", ("k", 1), None, 1, 2),
            (0, "__delitem__", ("k",), None, 3, 4),
            (1, "get", ("k",), 1, 5, 6),
            (0, "set", ("u", 1), None, 1, 2),
            (0, "swap", ("u", 2), 1, 3, 9),
            (1, "swap", ("u", 3), 1, 3, 9),
            (0, "get", ("n",), 5, 1, 2),
        ),
        "dict",
    )
    kinds = [text.partition(":")[0] for text in found]
    assert kinds == ["resurrected key", "lost update", "value from nowhere"]
    queue = history_of(
        (0, "put", (1,), None, 1, 2),
        (0, "put", (2,), None, 3, 4),
        (1, "get", (), 2, 5, 6),
        (1, "get", (), 1, 7, 8),
    )
    assert anomalies(queue, "queue")[0].startswith("out of order")
    cycle = history_of(
        (0, "write", (1,), None, 1, 9),
        (0, "write", (2,), None, 1, 9),
        (1, "read", (), 1, 1, 2),
        (1, "read", (), 2, 3, 4),
        (1, "read", (), 1, 5, 6),
    )
    assert anomalies(cycle, "register")[0].startswith("order cycle")


@pytest.mark.parametrize(
    ("model", "rows", "final", "wanted"),
    [
        ("queue", [(0, "put", (1,), None, 1, 2), (0, "get", (), 1, 3, 4)], (), []),
        ("queue", [(0, "put", (1,), None, 1, 2)], (), ["item lost"]),
        ("stack", [(0, "pop", (), 1, 1, 2)], None, [TWICE]),
        ("deque", [(0, "append", (1,), None, 1, 2), (0, "pop", (), 1, 1, 2)], (1,), [TWICE]),
        ("counter", [(0, "add", (2,), None, 1, 2), (0, "decrement", (), None, 1, 2)], 1, []),
        ("counter", [(0, "add", (2,), None, 1, None, Status.INFO)], 3, ["total"]),
        ("set", [(0, "add", (1,), None, 1, 2), (0, "pop", (), 2, 3, 4)], None, ["item from nowhere"]),
        ("set", [(0, "add", (1,), None, 1, 2)], set(), ["at rest"]),
        ("dict", [(0, "set", ("k", 1), None, 1, 2), (0, "set", ("k", 2), None, 1, 2)], {"k": 1}, []),
        ("dict", [(0, "set", ("k", 1), None, 1, 2), (0, "set", ("k", 2), None, 3, 4)], {"k": 1}, ["at rest"]),
        ("dict", [(0, "set", ("k", 1), None, 1, 2), (0, "get", ("k",), 3, 3, 4)], None, [NOWHERE]),
    ],
)  # fmt: skip
def test_conservation(model: str, rows: list[Row], final: Any, wanted: list[str]) -> None:
    found = conservation(history_of(*rows), model, final)
    assert [text.partition(":")[0] for text in found] == wanted


def test_recorder_keeps_what_threads_saw() -> None:
    recorder = Recorder({}, "dict")

    def work() -> None:
        for number in range(20):
            recorder.call("setdefault", number % 3, number)
            recorder.call("pop", number % 3, None)
            with pytest.raises(KeyError):
                recorder.call("__getitem__", "nowhere")

    run_threads(work, count=3)
    history = recorder.history()
    assert len(history) == 3 * 20 * 3
    assert len(set(history.clients)) == 3
    assert history.results.count(Raised("KeyError")) == 60
    assert judge(history).ok
