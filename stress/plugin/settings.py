"""What a test asked for, and what the command line makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from ..check import Model, model_named
from ..options import UsageError
from ..targets import Kind, Target, target_of

__all__ = ["Settings"]

_MODELS = {Kind.DICT: "dict-unordered", Kind.SET: "set", Kind.SEQUENCE: "deque"}


@dataclass(frozen=True)
class Settings:
    """The arguments of `@concurrent`, checked, with `--ct-seconds` and the test's seed."""

    target: Any
    seed: int
    session_seed: int
    repro_dir: str
    threads: int = 4
    seconds: float = 2.0
    model: Any = None
    rounds: int | None = None
    operations: int = 4
    minimise: float = 3.0
    serial: bool = False

    @classmethod
    def of(cls, item: Any, mark: Any, seed: int) -> Settings:
        """From the marker; a mistake fails the test with what is wrong."""
        options = item.config.option
        given = dict(mark.kwargs)
        target = mark.args[0] if mark.args else given.pop("target", None)
        if options.ct_seconds is not None:
            given["seconds"] = options.ct_seconds
        try:
            settings = cls(target, seed, options.ct_seed, options.ct_repro_dir or "", **given)
        except TypeError as error:
            pytest.fail(f"@concurrent: {error}", pytrace=False)
        settings._check()
        return settings

    def _check(self) -> None:
        wrong = ""
        if not callable(self.target):
            wrong = f"the first argument is the class under test, not {self.target!r}"
        elif not 1 <= self.threads <= 64:
            wrong = f"threads must be 1 to 64, not {self.threads}"
        elif not self.seconds > 0:
            wrong = f"seconds must be above 0, not {self.seconds}"
        elif self.operations < 1:
            wrong = f"operations must be at least 1, not {self.operations}"
        if wrong:
            pytest.fail(f"@concurrent: {wrong}", pytrace=False)

    def found_target(self) -> Target:
        """The target as the harness sees it; a failure when it is no container."""
        try:
            return target_of(self.target)
        except UsageError as error:
            pytest.fail(f"@concurrent: {error}", pytrace=False)

    def found_model(self) -> Model:
        """The model to judge by."""
        if isinstance(self.model, Model):
            return self.model
        if isinstance(self.model, type) and issubclass(self.model, Model):
            return self.model()
        try:
            if self.model is not None:
                return model_named(self.model)
            return model_named(_MODELS[target_of(self.target).kind])
        except (UsageError, KeyError):
            pytest.fail(
                f"@concurrent: no model is known for {self.target!r}; give model=..., the name of one or "
                "your own (concurrent_tables.stress.check.Model)",
                pytrace=False,
            )
        except Exception as error:
            pytest.fail(f"@concurrent: {error}", pytrace=False)

    def again(self) -> str:
        """How to repeat it."""
        return (
            f"seed {self.session_seed}: repeat the same choices with --ct-seed={self.session_seed}; how "
            "threads meet is up to the machine, so this is statistical"
        )
