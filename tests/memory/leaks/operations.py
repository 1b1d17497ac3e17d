"""Every public operation of every type, again and again, on fresh tables."""

from __future__ import annotations

import threading
from typing import Any

import concurrent_tables
from tests.memory.leaks.measure import finish, steady
from tests.memory.operations import operations_of
from tests.memory.sweep import World
from tests.support import MAPPINGS, SETS


class Fed:
    """A second thread that touches each table once, so that it becomes a shared one."""

    def __init__(self) -> None:
        self.table: Any = None
        self.start, self.done = threading.Barrier(2), threading.Barrier(2)
        threading.Thread(target=self.work, daemon=True).start()

    def work(self) -> None:
        while True:
            self.start.wait()
            len(self.table)
            self.done.wait()

    def share(self, table: Any) -> Any:
        self.table = table
        self.start.wait()
        self.done.wait()
        self.table = None
        return table


def _body(other: Fed, name: str, state: str, kind: str, operations: dict[str, Any]) -> Any:
    def body() -> None:
        for operation in operations.values():
            world = World(concurrent_tables, name, kind, "own")
            if state == "shared":
                other.share(world.table)
            operation(world.table, world)

    return body


def main() -> None:
    other = Fed()
    for name in (*MAPPINGS, *SETS, "HashTable"):
        for state, kind in (("own", "str"), ("shared", "objects")):
            where = f"{name} {state} {kind}"
            operations = operations_of(name)
            body = _body(other, name, state, kind, operations)
            if steady(where, body, rounds=60, warm_up=200, counts=False):
                continue
            if not steady(where, body, rounds=60, warm_up=800):
                for label, operation in operations.items():  # which one is it?
                    body = _body(other, name, state, kind, {label: operation})
                    steady(f"{where}: {label}", body)
    finish()


if __name__ == "__main__":
    main()
