from array import array
from collections.abc import Callable

def search(
    kind: int,
    parts: array[int],
    initial: array[int],
    calls: array[int],
    returns: array[int],
    first: array[int],
    program: array[int],
    step: Callable[[int, int], int] | None,
    seconds: float,
    memory: int,
    max_steps: int,
    want_paths: bool,
    /,
) -> list[tuple[int, list[int], int, int] | None]: ...

def ticket() -> int: ...
def prepare_failures() -> None: ...
def fail_allocation(number: int, /) -> bool: ...
