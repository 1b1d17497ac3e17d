"""Small scenarios: the admissible outcomes are those of the interleavings, and samples are counted."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from stress.check import ModelError, Raised, model_named, outcomes_of

SCENARIOS: list[list[list[tuple[Any, ...]]]] = [
    [[("setdefault", "k", 1), ("get", "k")], [("pop", "k", None)]],
    [[("update", {"a": 1}), ("__len__",)], [("clear",), ("__len__",)], [("popitem",)]],
    [[("__delitem__", "k")], [("__setitem__", "k", 1)], [("get", "k"), ("get", "k")]],
]


def _brute(scenario: list[list[tuple[Any, ...]]]) -> set[tuple[Any, ...]]:
    """Every interleaving run on a fresh dict."""
    turns = [t for t, calls in enumerate(scenario) for _ in calls]
    found = set()
    for order in set(permutations(turns)):
        table: dict[Any, Any] = {}
        answers: list[list[Any]] = [[] for _ in scenario]
        for thread in order:
            method, *args = scenario[thread][len(answers[thread])]
            try:
                answers[thread].append(getattr(table, method)(*args))
            except KeyError:
                answers[thread].append(Raised("KeyError"))
        found.add((*(a for one in answers for a in one), tuple(table.items())))
    return found


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_outcomes_are_those_of_every_interleaving(scenario: list[list[tuple[Any, ...]]]) -> None:
    wanted = _brute(scenario)
    by_model = outcomes_of(scenario, model_named("dict"), final=[("items",)])
    assert by_model.expected == wanted
    by_object = outcomes_of(scenario, dict)
    assert by_object.expected == {outcome[:-1] for outcome in wanted}


def test_a_set_may_pop_any_item() -> None:
    outcomes = outcomes_of([[("pop",)], [("add", 3)]], model_named("set"), initial={1, 2})
    assert outcomes.expected == {(1, None), (2, None), (3, None)}


def test_table_of_results() -> None:
    outcomes = outcomes_of([[("setdefault", "k", 1)], [("setdefault", "k", 2)]], dict)
    assert (1, 1) in outcomes and (1, 2) not in outcomes
    samples = [(1, 1)] * 6 + [(1, 2)] * 3 + [(1, 1)]
    rows = [
        (row.result, row.samples, row.frequency, row.expected) for row in outcomes.table(samples)
    ]
    assert rows == [((1, 2), 3, 0.3, False), ((1, 1), 7, 0.7, True), ((2, 2), 0, 0.0, True)]
    assert [row.result for row in outcomes.forbidden(samples)] == [(1, 2)]
    counted = outcomes.count(samples[:5]) + outcomes.count(samples[5:])
    assert outcomes.table(counted) == outcomes.table(samples)


def test_answers_that_are_not_hashable() -> None:
    class Log(list[int]):
        def add(self, item: int) -> list[int]:
            self.append(item)
            return list(self)

    outcomes = outcomes_of([[("add", 1)], [("add", 2)]], Log)
    assert outcomes.expected == {((1,), (1, 2)), ((2, 1), (2,))}
    assert outcomes.forbidden([([1], [1, 2]), ([2, 1], [2])]) == []
    assert len(outcomes.forbidden([([1], [2])])) == 1


def test_a_model_that_cannot_answer_says_so() -> None:
    with pytest.raises(ModelError, match="cannot answer calls"):
        outcomes_of([[("put", "k", "v")]], model_named("kv"))
