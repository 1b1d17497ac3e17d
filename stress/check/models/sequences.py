"""Models of queues, stacks and deques: the state is a tuple, its left end first.

Taking from an empty one raises; the name of the exception is the container's own affair.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ..history import Operation, Raised
from .base import REFUSED, Model, same

__all__ = ["Deque", "Queue", "Stack"]

LEFT, RIGHT = "left", "right"
EMPTY = Raised("*")
SIZES = frozenset({"len", "__len__", "qsize"})


class _Sequence(Model):
    initial = ()
    reads = SIZES
    puts: ClassVar[dict[str, str]]
    takes: ClassVar[dict[str, str]]

    def __init_subclass__(cls) -> None:
        cls.methods = frozenset(cls.puts) | frozenset(cls.takes) | SIZES | {"clear"}

    def step(self, state: Any, op: Operation) -> Any:
        method = op.method
        if method in self.puts:
            return (op.args[0], *state) if self.puts[method] == LEFT else (*state, op.args[0])
        if method in self.takes:
            return self._take(state, op, self.takes[method])
        if method == "clear":
            return ()
        return state if op.unknown or same(len(state), op.result) else REFUSED

    def answers(self, state: Any, method: str, args: tuple[Any, ...]) -> list[tuple[Any, Any]]:
        if method in self.puts:
            left = self.puts[method] == LEFT
            return [(None, (args[0], *state) if left else (*state, args[0]))]
        if method in self.takes:
            if not state:
                return [(Raised("Empty"), state)]
            left = self.takes[method] == LEFT
            return [(state[0], state[1:]) if left else (state[-1], state[:-1])]
        return [(None, ())] if method == "clear" else [(len(state), state)]

    @staticmethod
    def _take(state: Any, op: Operation, end: str) -> Any:
        if not state:
            return state if op.unknown or same(EMPTY, op.result) else REFUSED
        item, rest = (state[0], state[1:]) if end == LEFT else (state[-1], state[:-1])
        return rest if op.unknown or same(item, op.result) else REFUSED


class Queue(_Sequence):
    """First in, first out: `put(item)`, `get() -> item`, and their usual other names."""

    name = "queue"
    puts: ClassVar = dict.fromkeys(("put", "put_nowait", "enqueue", "append"), RIGHT)
    takes: ClassVar = dict.fromkeys(("get", "get_nowait", "dequeue", "popleft"), LEFT)


class Stack(_Sequence):
    """Last in, first out: `push(item)`, `pop() -> item`, and their usual other names."""

    name = "stack"
    puts: ClassVar = dict.fromkeys(("push", "put", "put_nowait", "append"), RIGHT)
    takes: ClassVar = dict.fromkeys(("pop", "get", "get_nowait"), RIGHT)


class Deque(_Sequence):
    """Both ends: `append`, `appendleft`, `pop`, `popleft`."""

    name = "deque"
    puts: ClassVar = {"append": RIGHT, "appendleft": LEFT}
    takes: ClassVar = {"pop": RIGHT, "popleft": LEFT}
