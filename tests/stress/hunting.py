"""Runs of the command for tests whose container is broken, until it has been found out."""

from __future__ import annotations

from stress import cli

_TRIES = 30  # each finds what the tests plant far more often than not


def find(*arguments: str, before_each: object = None) -> None:
    """`ct-stress run` with one seed after the other until the exit status is 1.

    `before_each`, if given, is called before each run: to forget what the last one printed.
    """
    for seed in range(1, _TRIES + 1):
        if callable(before_each):
            before_each()
        status = cli.main(["run", *arguments, "--seed", str(seed)])
        if status == 1:
            return
        assert status == 0, f"seed {seed}: exit status {status}"
    raise AssertionError(f"not found with {_TRIES} seeds")
