"""The options of a campaign, validated in one place for the command line and the Python API."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

__all__ = [
    "DEFAULT_SECONDS",
    "DEFAULT_THREADS",
    "HarnessError",
    "Options",
    "UsageError",
    "check_writable",
]

DEFAULT_SECONDS = 20.0
DEFAULT_THREADS = 8
DEFAULT_STALL_SECONDS = 30.0
MAX_THREADS = 512
_MINIMISE_SECONDS = 10.0


class UsageError(ValueError):
    """The options or the target make no sense; `ct-stress` ends with exit status 2."""


class HarnessError(RuntimeError):
    """The harness itself failed, which says nothing about the target; exit status 4.

    The text has the traceback of the process that failed.
    """


def _new_seed() -> int:
    return secrets.randbelow(2**32)


@dataclass(frozen=True)
class Options:
    """How to run a campaign.

    Parameters
    ----------
    threads: number of worker threads, 1 to 512.
    seconds: total time budget, shared by all workloads; None with `ops` means "until the
        operations are done".
    ops: operations per workload (over all its threads); None means "until the time is over".
    seed: every choice of every thread follows from it.
    only: `fnmatch` patterns on `workload` or `Type/workload`; empty means all.
    stall_seconds: time without progress of any thread after which a run counts as hung.
    switch_interval: thread switch interval in seconds while a campaign runs (GIL builds only).
    target_argument: what `--target` said, for the command that repeats a violation.
    minimise: seconds for making findings of the scenarios smaller, after sampling and beside `seconds`;
        0 leaves them; None is a quarter of the total time, 10 at most.
    repro_dir: where a test is written for each of them; empty: nowhere.
    isolate: run the workloads of `target_argument` in a child process too (isolation.py).
    """

    threads: int = DEFAULT_THREADS
    seconds: float | None = None
    ops: int | None = None
    seed: int = field(default_factory=_new_seed)
    only: tuple[str, ...] = ()
    stall_seconds: float = DEFAULT_STALL_SECONDS
    switch_interval: float = 1e-5
    target_argument: str = ""
    minimise: float | None = None
    repro_dir: str = ""
    isolate: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= MAX_THREADS:
            raise UsageError(f"threads must be 1 to {MAX_THREADS}, not {self.threads}")
        if self.seconds is not None and not 0 < self.seconds < float("inf"):
            raise UsageError(f"seconds must be a number above 0, not {self.seconds}")
        if self.ops is not None and self.ops < 1:
            raise UsageError(f"ops must be at least 1, not {self.ops}")
        if self.minimise is not None and not 0 <= self.minimise < float("inf"):
            raise UsageError(f"minimise must be a number of seconds from 0 on, not {self.minimise}")
        if self.stall_seconds <= 0:
            raise UsageError(f"stall seconds must be above 0, not {self.stall_seconds}")

    @property
    def budget_seconds(self) -> float | None:
        """The total time, or None when only the operations bound the run."""
        if self.seconds is None and self.ops is None:
            return DEFAULT_SECONDS
        return self.seconds

    @property
    def minimise_seconds(self) -> float:
        """The time for making findings smaller."""
        if self.minimise is not None:
            return self.minimise
        return min(_MINIMISE_SECONDS, (self.budget_seconds or 4 * _MINIMISE_SECONDS) / 4)

    def selects(self, target: str, workload: str) -> bool:
        """Whether a pattern of `only` names this workload (no pattern selects all)."""
        names = (workload, f"{target}/{workload}")
        return not self.only or any(
            fnmatchcase(name, pattern) for pattern in self.only for name in names
        )

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "only": list(self.only), "seconds": self.budget_seconds}


def check_writable(**paths: str | None) -> None:
    """UsageError where the file of an option (`json=...`) cannot be written: better before a long run."""
    for option, path in paths.items():
        if path in (None, "-"):
            continue
        try:
            with open(path, "a", encoding="utf-8"):
                pass
        except OSError as error:
            raise UsageError(f"--{option} {path}: {error.strerror or error}") from error
