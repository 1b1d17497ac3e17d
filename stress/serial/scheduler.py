"""One thread at a time: real threads of which each waits for its turn, and a strategy that gives it.

Every *point* (points.py: a line or an instruction of the container is about to run) asks the
strategy who goes on. Where only one thread can go on there is nothing to choose; all other answers
are the run's *choices*, and the same choices give the same run. A thread that has gone on for long
must let others go first, since it may wait for them in a loop.

A thread that waits in a modelled lock (locks.py) is not there to be chosen until what it waits for
holds. When nobody can go on and somebody waits, that is a deadlock. A wait with a timeout ends by
it only when nobody else can go on: time does not pass otherwise.

The first point of an operation is passed over: it lies beside the end of the operation before.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable, Sequence

from ..check.history import Raised
from .errors import Abandoned, Blocked, SerialError
from .runs import MAIN, Location, Program, Run, Waiting, cycle_of
from .strategies import Strategy

__all__ = ["Scheduler"]

STALL_SECONDS = 20.0
PATIENCE = 300  # steps in a row of one thread, before it lets others go on: it may wait in a loop
_ASTRAY = "the container is not deterministic: a repeated schedule went astray"


class Scheduler:
    """Runs programs under strategies; keeps its threads from one run to the next.

    `arm` and `disarm` are called in each thread around its program (points.py).
    """

    def __init__(self, arm: Callable[[], None], disarm: Callable[[], None], steps: int) -> None:
        self._arm = arm
        self._disarm = disarm
        self._steps = steps
        self._threads: list[threading.Thread] = []
        self._wake: list[_thread.LockType] = []
        self._done = _held_lock()
        self._number: dict[int, int] = {}
        self._closing = False
        self._active = False
        self.left = -1  # steps that sequential calls may take; less than 0: any number

    # -- life ------------------------------------------------------------------------------------

    def prepare(self, count: int) -> None:
        """Start threads; before names are replaced, since threading itself uses locks."""
        while len(self._threads) < count:
            number = len(self._threads)
            self._wake.append(_held_lock())
            thread = threading.Thread(
                target=self._work, args=(number,), name=f"serial-{number}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """End the threads."""
        self._closing = True
        for wake in self._wake:
            wake.release()
        for thread in self._threads:
            thread.join(STALL_SECONDS)

    def _work(self, number: int) -> None:
        self._number[_thread.get_ident()] = number
        while True:
            self._wake[number].acquire()
            if self._closing:
                return
            self._program(number)
            if self._closing:
                return

    # -- one run ---------------------------------------------------------------------------------

    def run(self, programs: Sequence[Program], strategy: Strategy) -> Run:
        """Run each program in a thread of its own, interleaved as the strategy says."""
        count = len(programs)
        self.prepare(count)
        self._programs = programs
        self._strategy = strategy
        self._result = Run([[] for _ in range(count)], [[] for _ in range(count)])
        self._alive = list(range(count))
        self._waits: dict[int, Waiting] = {}
        self._fresh = [False] * count
        self._beside = [False] * count
        self._where: list[Location | None] = [None] * count
        self._ending = False
        self._taken = 0
        self._streak = 0
        self._failure: Exception | None = None
        strategy.begin(count)
        self._active = True
        try:
            self._wake[self._choose(MAIN, False)].release()
            taken = -1
            while not self._done.acquire(timeout=STALL_SECONDS):
                if taken == self._taken:
                    raise SerialError(self._stalled())
                taken = self._taken
        except BaseException:
            self._end("interrupted")  # the session is over; close() ends the threads
            raise
        self._active = False
        if self._failure is not None:
            raise self._failure
        return self._result

    def _stalled(self) -> str:
        where = [place for place in self._where if place]
        last = f"{where[-1][0]}:{where[-1][1]}" if where else "its beginning"
        return (
            f"a thread does not come to its next line (last seen near {last}): it waits for something "
            "that is not modelled, such as a lock of an extension module or real input"
        )

    def _program(self, number: int) -> None:
        result = self._result
        try:
            if self._ending:
                return
            self._arm()
            try:
                for index, call in enumerate(self._programs[number]):
                    if index:
                        self.point(None)
                    self._fresh[number] = True
                    began = self._tick()
                    try:
                        answer = call()
                    except Abandoned:
                        return
                    except BaseException as error:
                        answer = Raised(type(error).__name__)
                        result.texts[number, index] = str(error)
                        error.__traceback__ = None
                    if self._ending:
                        return  # something swallowed the end
                    result.results[number].append(answer)
                    result.spans[number].append((began, self._tick()))
            except Abandoned:
                return
            finally:
                self._disarm()
        finally:
            self._leave(number)

    def _tick(self) -> int:
        self._taken += 1
        return self._taken

    def _leave(self, number: int) -> None:
        self._alive.remove(number)
        if self._closing:
            return  # everybody has been woken
        if not self._alive:
            self._done.release()
            return
        following = self._alive[0] if self._ending else self._choose(number, False)
        self._wake[following].release()

    # -- points ----------------------------------------------------------------------------------

    def current(self) -> int:
        """The number of the calling thread; outside of a run MAIN."""
        return self._number.get(_thread.get_ident(), MAIN) if self._active else MAIN

    def controls(self) -> bool:
        """Whether the calling thread is one of ours and runs a program."""
        return self._active and _thread.get_ident() in self._number

    def point(self, location: Location | None, *, yields: bool = False) -> None:
        """The calling thread is about to do something that others could see."""
        number = self._number.get(_thread.get_ident(), MAIN)
        if number == MAIN or not self._active:
            if self.left >= 0 and not self._active:
                self._sequential()
            return
        if self._ending:
            raise Abandoned
        self._taken += 1
        if self._taken > self._steps:
            self._end("steps")
            raise Abandoned
        if location is not None:
            self._where[number] = location
        if self._fresh[number] and location is not None:
            self._fresh[number] = False
        else:
            self._streak += 1
            self._hand_over(number, self._choose(number, yields or self._streak > PATIENCE))
        if location is not None:
            self._result.trace.append((number, location))
            self._beside[number] = True

    def _sequential(self) -> None:
        """A call that never ends when it is alone waits for the others, in a loop."""
        self.left -= 1
        if self.left < 0:
            raise Blocked("the end of a loop")

    def locking(self) -> None:
        """The calling thread is about to take a lock: a point, unless one lies just before it."""
        number = self.current()
        if number == MAIN:
            return
        if self._beside[number]:
            self._beside[number] = False
        else:
            self.point(None)

    def wait(self, waiting: Waiting) -> bool:
        """Block the calling thread until it holds; False when the time ran out instead."""
        number = self.current()
        if waiting.until():
            return True
        if number == MAIN:
            if waiting.timed:
                return False
            raise Blocked(waiting.what)
        if self._ending:
            raise Abandoned
        self._waits[number] = waiting
        self._hand_over(number, self._choose(number, False))
        del self._waits[number]
        return waiting.until()

    def _choose(self, current: int, yields: bool) -> int:
        """Who goes on: the strategy's choice where there are several."""
        waits = self._waits
        if waits:
            able = [t for t in self._alive if t not in waits or waits[t].until()]
            if not able:
                able = [t for t in self._alive if waits[t].timed]
            if not able:
                self._deadlock()
                return current if current in self._alive else self._alive[0]
        else:
            able = self._alive
        if yields and len(able) > 1:
            able = [t for t in able if t != current]
        if len(able) == 1:
            return able[0]
        try:
            chosen = self._strategy.choose(current, able)
            if chosen not in able:
                raise SerialError(_ASTRAY)
        except Exception as error:
            self._failure = error  # for the caller of run, not for the container
            self._end("failed")
            return self._alive[0] if current not in self._alive else current
        self._result.choices.append(chosen)
        return chosen

    def _hand_over(self, number: int, following: int) -> None:
        if following != number:
            self._streak = 0
            self._wake[following].release()
            self._wake[number].acquire()
        if self._ending:
            raise Abandoned

    def _end(self, why: str) -> None:
        self._ending = True
        self._result.end = why

    # -- deadlock --------------------------------------------------------------------------------

    def _deadlock(self) -> None:
        self._end("deadlock")
        for thread in self._alive:
            waiting = self._waits[thread]
            place = self._where[thread]
            at = f" at {place[0]}:{place[1]}" if place else ""
            held = ", ".join(f"thread {t}" for t in waiting.holders())
            by = f", held by {held}" if held else ", which nobody is left to do"
            self._result.blocked.append(f"thread {thread}{at} waits for {waiting.what}{by}")
        self._result.cycle = cycle_of(self._waits)


def _held_lock() -> _thread.LockType:
    lock = _thread.allocate_lock()
    lock.acquire()
    return lock
