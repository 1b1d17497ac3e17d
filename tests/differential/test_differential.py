"""Random operations on ours and on the builtins: the same results, errors, order and state."""

from __future__ import annotations

from typing import Any

import pytest

from tests.differential.campaign import main
from tests.differential.runner import RUNNERS, Difference

SEEDS = range(6)
OPERATIONS = 5_000


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", sorted(RUNNERS))
def test_no_difference(ct: Any, name: str, seed: int) -> None:
    runner = RUNNERS[name](ct, name, seed)
    runner.run(OPERATIONS)
    assert runner.done == OPERATIONS


def test_the_campaign_reports(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--ops", "500", "--only", "ConcurrentDict", "FrozenSet"]) == 0
    assert capsys.readouterr().out.count("no difference") == 2


@pytest.mark.parametrize("name", ["ConcurrentDict", "ConcurrentSet"])
def test_the_runner_notices_a_wrong_table(ct: Any, name: str) -> None:
    """A subclass that forgets one write in a hundred is found."""

    class Forgetful(getattr(ct, name)):  # type: ignore[misc]
        __hash__ = None  # type: ignore[assignment]
        calls = 0

        def __setitem__(self, key: Any, value: Any) -> None:
            Forgetful.calls += 1
            if Forgetful.calls % 100:
                super().__setitem__(key, value)

        def add(self, item: Any) -> None:
            Forgetful.calls += 1
            if Forgetful.calls % 100:
                super().add(item)

    runner = RUNNERS[name](ct, name, 1)
    runner.table = Forgetful(runner.model)

    def keep() -> None:  # a reset would bring the right type back
        return None

    runner.reset = keep  # type: ignore[method-assign]
    with pytest.raises(Difference):
        runner.run(5_000)
