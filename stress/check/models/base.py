"""What a model is: how one thread alone would see the object behave.

A model has an initial state, and `step(state, operation)`: the state after the operation, if the
operation could have answered what it did, or `REFUSED`. States are hashable values. Where the object
may do one of several things that the answer does not tell apart, `step` returns `OneOf(states)`.

`key(operation)` splits a history: operations on different keys that cannot influence one another are
judged apart, which is what makes long histories cheap (P-compositionality: A. Horn and D. Kroening,
"Faster linearizability checking via P-compositionality", FORTE 2015). An operation that concerns the
whole object has the key `WHOLE`, and then the history is judged in one piece.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any, Final

from ..errors import ModelError
from ..history import Operation, Raised

if TYPE_CHECKING:
    from ..program import Compiler

__all__ = ["REFUSED", "WHOLE", "Model", "OneOf", "freeze", "step_all"]


class _Refused:
    __slots__ = ()

    def __repr__(self) -> str:
        return "REFUSED"


class _Whole:
    __slots__ = ()

    def __repr__(self) -> str:
        return "WHOLE"


REFUSED: Final = _Refused()
"""What `step` returns when the operation could not have answered that in this state."""

WHOLE: Final = _Whole()
"""The key of an operation that concerns the whole object."""


class OneOf:
    """Several possible next states, of which nobody knows which it was."""

    __slots__ = ("states",)

    def __init__(self, states: Iterable[Hashable]) -> None:
        self.states = frozenset(states)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OneOf) and self.states == other.states

    def __hash__(self) -> int:
        return hash(self.states)

    def __repr__(self) -> str:
        return f"one of {', '.join(sorted(map(repr, self.states)))}"


class Model:
    """A sequential model: subclass it, or look at the ones in this package.

    Thread-safety: `step` and `key` may be called from several threads at once; keep no state in
    the model.

    >>> class Toggle(Model):
    ...     name = "toggle"
    ...     initial = False
    ...     def step(self, state, op):  # flip() -> the new position
    ...         return (not state) if op.unknown or op.result is (not state) else REFUSED
    """

    name: str = "own"
    initial: Hashable = None
    methods: frozenset[str] | None = None  # what it understands; None: whatever `step` takes
    keyed: frozenset[str] = frozenset()  # methods whose first argument is the key
    reads: frozenset[str] = frozenset()  # methods that never change the state: quicker to judge
    weak: frozenset[str] = frozenset()  # weakly consistent iterations: partition.py

    def step(self, state: Any, op: Operation) -> Any:
        """The next state, `OneOf` several, or `REFUSED`. Of an `op.unknown` any answer is right."""
        raise NotImplementedError

    def key(self, op: Operation) -> Hashable:
        """The part of the object that the operation concerns."""
        return op.args[0] if op.method in self.keyed else WHOLE

    def answers(self, state: Any, method: str, args: tuple[Any, ...]) -> list[tuple[Any, Any]]:
        """Every (answer, next state) that the call may give: what `outcomes_of` needs.

        Raises:
            ModelError: this model only judges answers.
        """
        raise ModelError(
            f"the model {self.name!r} cannot answer calls; give `outcomes_of` a sequential object"
        )

    def state_of(self, content: Any) -> Hashable:
        """The state of an object with this content."""
        return content  # type: ignore[no-any-return]

    def show(self, state: Any) -> str:
        """A state for people to read."""
        return repr(state)

    def compiler(self) -> Compiler | None:
        """How to run it in the compiled search without calling `step`, if there is a way."""
        return None

    def check_method(self, op: Operation) -> None:
        """Raise `ModelError` for a method that the model does not know."""
        if self.methods is not None and op.method not in self.methods:
            raise ModelError(
                f"operation {op.index}: the model {self.name!r} does not know the method "
                f"{op.method!r}; it knows {', '.join(sorted(self.methods))}"
            )


def step_all(model: Model, state: Any, op: Operation) -> Any:
    """`model.step`, also from several states at once: one state, `OneOf` several, or `REFUSED`."""
    if not isinstance(state, OneOf):
        return _normal(model.step(state, op))
    found: set[Hashable] = set()
    for one in state.states:
        after = model.step(one, op)
        if isinstance(after, OneOf):
            found |= after.states
        elif after is not REFUSED:
            found.add(after)
    return _normal(OneOf(found))


def _normal(state: Any) -> Any:
    if isinstance(state, OneOf) and len(state.states) <= 1:
        return next(iter(state.states), REFUSED)
    return state


def freeze(value: Any) -> Any:
    """A hashable stand-in for a list, dict or set that an operation took or gave."""
    if isinstance(value, dict):
        return tuple([(freeze(key), freeze(one)) for key, one in value.items()])
    if isinstance(value, (list, tuple)):
        return (*map(freeze, value),)
    if isinstance(value, (set, frozenset)):
        return frozenset(map(freeze, value))
    return value


def same(expected: Any, answer: Any) -> bool:
    """Whether the answer is the one that the model expects."""
    if isinstance(expected, Raised):
        return isinstance(answer, Raised) and expected.name in ("*", answer.name)
    return not isinstance(answer, Raised) and bool(expected == answer)
