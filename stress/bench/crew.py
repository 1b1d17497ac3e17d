"""Threads that live as long as the run.

Without the GIL an object belongs to the thread that made it, and counting its references is cheap
for that thread alone. What a thread uses must therefore be made by the very thread that is measured,
which must be there from the first preparation of a cell to its last round.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

from ..environment import pin_thread

__all__ = ["Crew"]

T = TypeVar("T")
_PATIENCE_SECONDS = 300.0


class _Member:
    """One thread with a queue of jobs."""

    def __init__(self, number: int) -> None:
        self.jobs: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self.answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self.thread = threading.Thread(
            target=self._work, args=(number,), name=f"bench-{number}", daemon=True
        )
        self.thread.start()

    def _work(self, number: int) -> None:
        pin_thread(number)
        while (job := self.jobs.get()) is not None:
            try:
                self.answers.put((job(), None))
            except BaseException as error:  # raised again in the thread that gave the job
                self.answers.put((None, error))
            del job


class Crew:
    """A context manager: `run` gives each of the first threads one job."""

    def __init__(self, size: int) -> None:
        self._members = [_Member(number) for number in range(size)]

    def run(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """The results, in order of the jobs. The first error is raised when all jobs have ended."""
        members = self._members[: len(jobs)]
        for member, job in zip(members, jobs, strict=True):
            member.jobs.put(job)
        answers = [member.answers.get() for member in members]
        errors = [error for _, error in answers if error is not None]
        if errors:
            raise errors[0]
        return [result for result, _ in answers]

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for member in self._members:
            member.jobs.put(None)
        for member in self._members:
            member.thread.join(_PATIENCE_SECONDS)
