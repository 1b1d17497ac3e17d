"""Every example in the docstrings of the checkers runs."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import stress.check


def test_examples_of_the_docstrings() -> None:
    attempted = 0
    for info in pkgutil.walk_packages(stress.check.__path__, "stress.check."):
        result = doctest.testmod(importlib.import_module(info.name))
        assert result.failed == 0, info.name
        attempted += result.attempted
    assert attempted > 15
