"""The interpreter's dict watchers through ctypes: prototypes, and a callback that is safe to call.

The interpreter calls a dict watcher wherever a dict changes or dies. A dict can die while an exception
is on its way up, for example a dict on the evaluation stack of `[make_dict(), 1 / 0]`. A watcher must
then leave that exception pending (documentation of `PyDict_WatchCallback`). A plain ctypes callback
cannot: Python code does not run correctly with an exception pending, and whatever is pending when it
returns, ctypes takes for its own, reports and drops; the interpreter goes on unwinding without an
exception, and crashes.

So `callback_for` makes a callback that takes the exception away before any Python code runs and, for
the way back, returns an int that puts it there again *when it is destroyed*, which is after ctypes has
looked. A Python `__del__` could not do that, because the interpreter saves and restores the exception
around it; a C function as `tp_finalize` can. `PyObject_CallNoArgs` serves as that function: it calls
the dying int, whose `__call__` is `PyErr_SetRaisedException` with the address of the exception.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import PYFUNCTYPE, c_char_p, c_int, c_long, c_uint, c_void_p, py_object
from functools import partial
from typing import Any

from ._hooks import report_unraisable

__all__ = [
    "add_watcher",
    "callback_for",
    "clear_watcher",
    "object_at",
    "unwatch_address",
    "watch_dict",
]

_api = ctypes.pythonapi

# int callback(PyDict_WatchEvent event, PyObject *dict, PyObject *key, PyObject *new_value)
_WatchCallback = PYFUNCTYPE(c_int, c_int, c_void_p, c_void_p, c_void_p)

# What these raise (RuntimeError: no id left) ctypes raises here.
add_watcher: Callable[[Any], int] = PYFUNCTYPE(c_int, _WatchCallback)(("PyDict_AddWatcher", _api))
clear_watcher: Callable[[int], int] = PYFUNCTYPE(c_int, c_int)(("PyDict_ClearWatcher", _api))
watch_dict: Callable[[int, Any], int] = PYFUNCTYPE(c_int, c_int, py_object)(("PyDict_Watch", _api))
# By address and without touching the refcount: the dict may be waiting for its DEALLOCATED event.
unwatch_address: Callable[[int, int], int] = PYFUNCTYPE(c_int, c_int, c_void_p)(
    ("PyDict_Unwatch", _api)
)

# Returns an exception as an address that owns a reference, or None; PyErr_SetRaisedException takes it.
_NoArguments = PYFUNCTYPE(c_void_p)
# Whether ctypes passes an int as wide as an address without being told its type: not on Windows.
_PASSES_ADDRESSES = ctypes.sizeof(c_long) >= ctypes.sizeof(c_void_p)
_set_error: Callable[[int], None] = PYFUNCTYPE(None, c_void_p)(("PyErr_SetRaisedException", _api))


class _Slot(ctypes.Structure):
    _fields_ = (("slot", c_int), ("function", c_void_p))


class _Spec(ctypes.Structure):
    _fields_ = (
        ("name", c_char_p),
        ("basicsize", c_int),
        ("itemsize", c_int),
        ("flags", c_uint),
        ("slots", ctypes.POINTER(_Slot)),
    )


_TP_FINALIZE = 80  # Py_tp_finalize, Include/typeslots.h; part of the stable ABI
_TPFLAGS = 1 << 18 | 1 << 10  # Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE


def _int_called_at_its_end() -> Any:
    """An int type of which a dying instance is called; the call may leave an exception pending."""
    function = ctypes.cast(_api.PyObject_CallNoArgs, c_void_p)
    slots = (_Slot * 2)(_Slot(_TP_FINALIZE, function), _Slot(0, None))
    spec = _Spec(b"concurrent_tables.called_at_its_end", 0, 0, _TPFLAGS, slots)
    make = PYFUNCTYPE(py_object, ctypes.POINTER(_Spec), py_object)(
        ("PyType_FromSpecWithBases", _api)
    )
    return make(ctypes.byref(spec), (int,))


class _Success(_int_called_at_its_end()):  # type: ignore[misc]
    """The result 0 of a callback; makes the exception at `address` pending when it dies."""

    address: int

    @property
    def __call__(self) -> Callable[[], None]:
        # A partial of a C function: no Python frame that would show up in the traceback.
        return partial(_set_error, self.address)


def _success(address: int) -> int:
    result: int = _Success()
    result.address = address  # type: ignore[attr-defined]
    return result


def callback_for(handle: Callable[[int, int, int | None, int | None], None]) -> Any:
    """A C callback that calls `handle(event, dict, key, new_value)` with addresses.

    It is never freed: when a watcher is cleared, another thread may have read the pointer already.
    """

    def finish(error: int | None, _: object, arguments: tuple[Any, ...]) -> int:
        try:
            handle(*arguments)
        except BaseException:
            report_unraisable("Exception ignored in dict watcher", handle)
        # The result must have no other reference than the returned one. A variable of this frame
        # would be one, if the traceback of an error of `handle` outlives the call.
        return 0 if error is None else _success(error)

    take_error: Any = _NoArguments(("PyErr_GetRaisedException", _api))
    enter = take_error
    if _PASSES_ADDRESSES:
        # What ctypes calls back is no Python function, which a debugger or profiler could trace
        # while the exception is pending, but PyErr_GetRaisedException itself. It ignores the
        # arguments; ctypes passes them, with the result, on to `errcheck`.
        take_error.errcheck = finish
    else:

        def enter(*arguments: Any) -> int:
            return finish(take_error(), None, arguments)

    pointer = _WatchCallback(enter)
    _api.Py_IncRef(py_object(pointer))
    return pointer


def object_at(address: int) -> Any:
    """The object at an address that is known to be alive."""
    return ctypes.cast(address, py_object).value
