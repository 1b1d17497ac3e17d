"""Random small histories: the checkers against a judge that tries every order.

Both searches, the compiled one and its Python twin, have to give the verdict of the exhaustive one
on histories that are linearizable by construction and on mutations of them that may be either.
"""

from __future__ import annotations

import random

import pytest

from stress.check import COMPILED, REFUSED, History, Model, Outcome, anomalies, judge, model_named
from stress.check.anomalies import decide
from stress.check.models.base import OneOf, step_all
from stress.check.native import Part
from tests.check.histories import DRAWS, linearizable, mutated, try_every_order, unique

SEEDS = 120
SEARCHES = [False, True] if COMPILED else [False]
MODEL_OF = {"keyed dict": "dict", "keyed set": "set"}


def _histories(name: str) -> list[tuple[History, bool]]:
    """(history, whether it is linearizable) for all seeds: made so, and mutated once and twice."""
    model = model_named(MODEL_OF.get(name, name))
    found = []
    for seed in range(SEEDS):
        rng = random.Random(f"{name} {seed}")
        length, spread = rng.randrange(1, 9), rng.choice([5, 30, 80])
        history = linearizable(model, DRAWS[name], rng, length, spread=spread)
        found.append((history, True))
        for _ in range(2):
            history = mutated(history, rng)
            found.append((history, try_every_order(history, model)))
    return found


def _text(history: History) -> str:
    return "\n".join(map(str, history))


@pytest.mark.parametrize("name", DRAWS)
def test_verdicts_are_those_of_the_exhaustive_judge(name: str) -> None:
    model = model_named(MODEL_OF.get(name, name))
    seen = set()
    for history, right in _histories(name):
        seen.add(right)
        for compiled in SEARCHES:
            verdict = judge(history, model, compiled=compiled)
            wanted = Outcome.OK if right else Outcome.ILLEGAL
            assert verdict.outcome is wanted, f"compiled {compiled}\n{_text(history)}"
            if not right:
                _check_prefix(verdict.prefix, verdict.blocked, model, _text(history))
    assert seen == {True, False}  # mutations of both kinds, else the test shows little


def _check_prefix(prefix: tuple[object, ...], blocked: object, model: Model, text: str) -> None:
    """The prefix is possible, has its order in time, and what is blocked is not in it."""
    states = model.initial
    for place, op in enumerate(prefix):
        states = step_all(model, states, op)  # type: ignore[arg-type]
        assert states is not REFUSED, text
        later = prefix[place + 1 :]
        assert not any(other.response < op.invoke for other in later), text  # type: ignore[attr-defined]
    assert blocked is not None and blocked not in prefix, text


@pytest.mark.parametrize("name", DRAWS)
def test_no_anomaly_is_alleged_of_a_linearizable_history(name: str) -> None:
    model = model_named(MODEL_OF.get(name, name))
    for history, right in _histories(name):
        if right:
            assert anomalies(history, model) == [], _text(history)


@pytest.mark.parametrize("name", ["register", "queue"])
def test_polynomial_verdicts_on_unique_values(name: str) -> None:
    """Zones of a register, and the four rules of a queue, are exact where they apply."""
    model = model_named(name)
    decided = {True: 0, False: 0}
    for seed in range(1500):
        rng = random.Random(f"unique {name} {seed}")
        history = linearizable(
            model, unique(name, rng), rng, rng.randrange(1, 8), spread=rng.choice([5, 30, 80])
        )
        for _ in range(rng.randrange(3)):
            history = mutated(history, rng)
        part = Part(None, range(len(history)), model.initial, False)
        if decide(history, model, part):
            right = try_every_order(history, model)
            assert (part.found is None) == right, _text(history)
            decided[right] += 1
    assert min(decided.values()) > 100


def test_several_next_states() -> None:
    """A model that is not deterministic: every guess has to be followed."""

    class Coin(Model):
        name = "coin"
        initial = "unknown"

        def step(self, state: object, op: object) -> object:
            if op.method == "throw":  # type: ignore[attr-defined]
                return OneOf(["head", "tail"])
            return state if op.result == state else REFUSED  # type: ignore[attr-defined]

    for compiled in SEARCHES:
        for answers, wanted in ((("head", "head"), "ok"), (("head", "tail"), "illegal")):
            history = History()
            history.append(0, "throw", (), None, 1, 2)
            for place, answer in enumerate(answers):
                history.append(0, "look", (), answer, 3 + 2 * place, 4 + 2 * place)
            assert str(judge(history, Coin(), compiled=compiled).outcome) == wanted
