"""Histories: what happened to one object, as seen by those who called it.

An operation has a client (a thread), a method, arguments, a result, and two tickets: one drawn before
the call and one after it. If the response ticket of one operation is smaller than the invocation
ticket of another, it came first; otherwise the two overlapped, and either may have come first.
Tickets only have an order: a counter, nanoseconds, line numbers of a log.

Three outcomes. `OK`: it answered. `FAIL`: it is known that nothing happened, so nothing is judged.
`INFO`: nobody knows; it may take effect at any time after the invocation, or never, and its response
ticket is `FOREVER`. An exception is an answer: the result is `Raised("KeyError")`.

A history is kept in columns, about 50 bytes an operation beside the values themselves.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import HistoryError

__all__ = ["FOREVER", "History", "Operation", "Raised", "Status"]

FOREVER = 2**63 - 1
"""The response ticket of an operation that may take effect at any later time."""


class Status(enum.IntEnum):
    """What is known of an operation's end."""

    OK = 0
    FAIL = 1
    INFO = 2


@dataclass(frozen=True, slots=True)
class Raised:
    """The result of a call that raised.

    Parameters:
        name: the name of the exception's type. `"*"` in a model stands for any exception.
    """

    name: str

    def __repr__(self) -> str:
        return f"raised {self.name}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a history; `index` is its place there."""

    index: int
    client: int
    method: str
    args: tuple[Any, ...]
    result: Any
    invoke: int
    response: int
    status: Status = Status.OK

    @property
    def unknown(self) -> bool:
        """Whether it may or may not have taken effect."""
        return self.status == Status.INFO

    def __str__(self) -> str:
        call = f"{self.method}({', '.join(map(repr, self.args))})"
        if self.unknown:
            return f"client {self.client}: {call} -> ? [{self.invoke}, ...)"
        return f"client {self.client}: {call} -> {self.result!r} [{self.invoke}, {self.response}]"


class History:
    """Operations on one object, in columns.

    Parameters:
        model: the name of the model to judge it by, when the history knows.

    Thread-safety: one thread builds it; any number may read it.

    >>> history = History()
    >>> history.append(0, "write", (1,), None, 1, 2)
    >>> history.append(1, "read", (), 1, 3, 4)
    >>> print(history[1])
    client 1: read() -> 1 [3, 4]
    """

    __slots__ = (
        "args",
        "clients",
        "invokes",
        "methods",
        "model",
        "responses",
        "results",
        "statuses",
    )

    def __init__(self, model: str | None = None) -> None:
        self.model = model
        self.clients: array[int] = array("q")
        self.methods: list[str] = []
        self.args: list[tuple[Any, ...]] = []
        self.results: list[Any] = []
        self.invokes: array[int] = array("q")
        self.responses: array[int] = array("q")
        self.statuses: array[int] = array("b")

    def append(
        self,
        client: int,
        method: str,
        args: tuple[Any, ...],
        result: Any,
        invoke: int,
        response: int | None,
        status: Status = Status.OK,
    ) -> None:
        """Add one operation. An `INFO` operation has no response: None, or any ticket.

        Raises:
            HistoryError: the response ticket is before the invocation's.
        """
        if status == Status.INFO:
            response = FOREVER
        elif response is None:
            raise HistoryError(f"{method}{args!r}: status {status.name} needs a response ticket")
        elif response < invoke:
            raise HistoryError(
                f"{method}{args!r}: response ticket {response} is before invocation {invoke}"
            )
        self.clients.append(client)
        self.methods.append(method)
        self.args.append(args)
        self.results.append(result)
        self.invokes.append(invoke)
        self.responses.append(response)
        self.statuses.append(status)

    @classmethod
    def from_columns(
        cls,
        clients: Iterable[int],
        methods: Iterable[str],
        args: Iterable[tuple[Any, ...]],
        results: Iterable[Any],
        invokes: Iterable[int],
        responses: Iterable[int],
        statuses: Iterable[int] | None = None,
        model: str | None = None,
    ) -> History:
        """A history from whole columns: the quick way from a recorder's journal.

        Parameters:
            responses: tickets; `FOREVER` for operations without one.
            statuses: `Status` numbers; by default OK, and INFO where the response is `FOREVER`.

        Raises:
            HistoryError: the columns differ in length, or a response is before its invocation.
        """
        made = cls(model)
        made.clients = array("q", clients)
        made.methods = list(methods)
        made.args = list(args)
        made.results = list(results)
        made.invokes = array("q", invokes)
        made.responses = array("q", responses)
        if statuses is None:
            made.statuses = array("b", bytes(len(made.clients)))
            for index, response in enumerate(made.responses):
                if response == FOREVER:
                    made.statuses[index] = Status.INFO
        else:
            made.statuses = array("b", statuses)
        made._check_columns()
        return made

    def _check_columns(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in self.__slots__ if name != "model"}
        if len(set(lengths.values())) != 1:
            raise HistoryError(f"columns of different lengths: {lengths}")
        for index, (invoke, response) in enumerate(zip(self.invokes, self.responses, strict=True)):
            if response < invoke:
                raise HistoryError(f"operation {index}: response {response} before {invoke}")

    def __len__(self) -> int:
        return len(self.methods)

    def __getitem__(self, index: int) -> Operation:
        return Operation(
            index,
            self.clients[index],
            self.methods[index],
            self.args[index],
            self.results[index],
            self.invokes[index],
            self.responses[index],
            Status(self.statuses[index]),
        )

    def __iter__(self) -> Iterator[Operation]:
        return map(self.__getitem__, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, History):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<History of {len(self)} operations by {len(set(self.clients))} clients>"

    def select(self, indexes: Sequence[int]) -> History:
        """The operations at `indexes`, in that order, as a history of its own."""
        made = History(self.model)
        for name in self.__slots__:
            if name == "model":
                continue
            column = getattr(self, name)
            chosen = map(column.__getitem__, indexes)
            is_list = isinstance(column, list)
            setattr(made, name, list(chosen) if is_list else array(column.typecode, chosen))
        return made
