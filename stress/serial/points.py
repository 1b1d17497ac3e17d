"""Where threads can be switched: events of the interpreter on the code under test, and only there.

On 3.12 and later `sys.monitoring` (PEP 669) with local events, so that all other code runs at full
speed. 3.11 has no such thing: there `sys.settrace` in our own threads, with `f_trace_opcodes` for
instructions; it gives the same points, more slowly.

The code under test is that of the container's class and its bases written in Python, of all else in
their modules unless those are of the standard library, and of what `watch` names.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from .errors import SerialError
from .runs import Location

__all__ = ["GRANULARITIES", "CodeUnderTest", "Tracer", "code_under_test", "tracer_for"]

GRANULARITIES: Final = ("line", "instruction")
_TOOL_NAME = "ct-stress serial"
_OWN = __name__.rpartition(".")[0]


class CodeUnderTest:
    """Code objects, and the modules and classes in which locks are looked for."""

    def __init__(self) -> None:
        self.codes: set[types.CodeType] = set()
        self.places: list[Any] = []
        self._seen: set[int] = set()

    def add(self, thing: Any) -> None:
        """A function, class or module."""
        if id(thing) in self._seen:
            return
        self._seen.add(id(thing))
        if isinstance(thing, types.ModuleType):
            self.places.append(thing)
            for value in list(vars(thing).values()):
                if getattr(value, "__module__", None) == thing.__name__:
                    self.add(value)
        elif isinstance(thing, type):
            self.places.append(thing)
            for value in list(vars(thing).values()):
                self._add_member(value)
        else:
            self._add_member(thing)

    def _add_member(self, value: Any) -> None:
        if isinstance(value, property):
            for function in (value.fget, value.fset, value.fdel):
                self._add_member(function)
            return
        if isinstance(value, classmethod | staticmethod):
            value = value.__func__
        elif isinstance(value, type) and not value.__module__.startswith(_OWN):
            self.add(value)
            return
        value = getattr(value, "__wrapped__", value)
        code = getattr(value, "__code__", None)
        if isinstance(code, types.CodeType):
            self.codes.update(_nested(code))


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)


def code_under_test(container: Any, watch: Iterable[Any] = ()) -> CodeUnderTest:
    """The code of a container's type, and of what `watch` names."""
    found = CodeUnderTest()
    cls = type(container)
    for base in cls.__mro__:
        if base is object:
            continue
        found.add(base)
        module = sys.modules.get(base.__module__)
        own = base is cls or base.__module__.partition(".")[0] not in sys.stdlib_module_names
        if module is not None and own and base.__module__ != "builtins":
            found.add(module)
    for thing in watch:
        found.add(thing)
    if not found.codes:
        raise SerialError(
            f"{cls.__module__}.{cls.__qualname__} has no Python code to switch threads in; the "
            "serialised mode is for pure-Python containers (sample it instead: ct-stress run)"
        )
    return found


class Tracer:
    """Calls `point` in every line or instruction; `start` once, `arm` in each thread."""

    def __init__(self, codes: set[types.CodeType], point: Callable[[Location], None]) -> None:
        self._codes = codes
        self._point = point

    def start(self) -> None:
        """Events begin."""

    def stop(self) -> None:
        """Events end, and nothing of them remains."""

    def arm(self) -> None:
        """The calling thread begins its program."""

    def disarm(self) -> None:
        """The calling thread has ended its program."""


class _Monitoring(Tracer):
    """sys.monitoring."""

    def __init__(
        self, codes: set[types.CodeType], point: Callable[[Location], None], *, lines: bool
    ) -> None:
        super().__init__(codes, point)
        self._lines = lines
        self._tool = -1

    def start(self) -> None:
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        self._tool = _free_tool(monitoring)
        events = monitoring.events
        event = events.LINE if self._lines else events.INSTRUCTION
        monitoring.register_callback(self._tool, event, self._callback())
        for code in self._codes:
            monitoring.set_local_events(self._tool, code, event)

    def stop(self) -> None:
        if self._tool < 0:
            return
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        events = monitoring.events
        for code in self._codes:
            monitoring.set_local_events(self._tool, code, 0)
        monitoring.register_callback(
            self._tool, events.LINE if self._lines else events.INSTRUCTION, None
        )
        monitoring.free_tool_id(self._tool)
        self._tool = -1

    def _callback(self) -> Callable[[types.CodeType, int], None]:
        point = self._point
        if self._lines:
            return lambda code, line: point((code.co_filename, line, -1))
        lines: dict[types.CodeType, dict[int, int]] = {}

        def instruction(code: types.CodeType, offset: int) -> None:
            known = lines.get(code)
            if known is None:
                known = lines[code] = _lines_of(code)
            point((code.co_filename, known.get(offset, code.co_firstlineno), offset))

        return instruction


class _Settrace(Tracer):
    """sys.settrace in our own threads."""

    def __init__(
        self, codes: set[types.CodeType], point: Callable[[Location], None], *, lines: bool
    ) -> None:
        super().__init__(codes, point)
        self._lines = lines

    def start(self) -> None:
        self._before = sys.gettrace()

    def stop(self) -> None:
        sys.settrace(self._before)

    def arm(self) -> None:
        sys.settrace(self._global)

    def disarm(self) -> None:
        sys.settrace(None)

    def _global(self, frame: types.FrameType, event: str, arg: Any) -> Any:
        if frame.f_code not in self._codes:
            return None
        if not self._lines:
            frame.f_trace_lines = False
            frame.f_trace_opcodes = True
        return self._local

    def _local(self, frame: types.FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            self._point((frame.f_code.co_filename, frame.f_lineno, -1))
        elif event == "opcode":
            self._point((frame.f_code.co_filename, frame.f_lineno, frame.f_lasti))
        return self._local


def tracer_for(
    codes: set[types.CodeType], point: Callable[[Location], None], granularity: str
) -> Tracer:
    """The tracer of this interpreter."""
    if granularity not in GRANULARITIES:
        raise SerialError(f"granularity is 'line' or 'instruction', not {granularity!r}")
    lines = granularity == "line"
    if hasattr(sys, "monitoring"):
        return _Monitoring(codes, point, lines=lines)
    return _Settrace(codes, point, lines=lines)


def _free_tool(monitoring: Any) -> int:
    for tool in (4, 3, 5, 0, 1, 2):
        if monitoring.get_tool(tool) is None:
            monitoring.use_tool_id(tool, _TOOL_NAME)
            return int(tool)
    raise SerialError(
        "all ids of sys.monitoring are in use; end the debugger, profiler or coverage measurement"
    )


def _lines_of(code: types.CodeType) -> dict[int, int]:
    return {
        offset: line
        for start, stop, line in code.co_lines()
        if line is not None
        for offset in range(start, stop, 2)
    }
