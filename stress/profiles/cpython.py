"""What CPython's own containers promise on free-threaded builds, 3.14 and 3.15.

Sources, by the letters that the promises carry:

D  Python documentation, library reference, "Thread Safety Guarantees", sections on dict objects
   and set objects: which operations are lock-free and atomic, which hold the per-object lock,
   which lock their operand too, and that iteration is never atomic.
H  Python documentation, "Python support for free threading": behaviour is meant to be as with the
   GIL; an iterator shared by threads may repeat or miss elements. From the first follows, for the
   types that D does not treat: a change made by one call of a method written in C, with keys that
   compare in C, loses no other change and is not seen half done by other changes. Crashes,
   corruption and references given up twice are never right.
C  Python documentation, collections: deques support thread-safe appends and pops from either side.

Reads that no text mentions are loose. Where D says that a read is lock-free, it may see a change
of many keys half done (`clear` excepted).
"""

from __future__ import annotations

from .base import (
    ALL_HOSTILE,
    ATOMIC,
    GLIMPSE,
    LOOSE_READ,
    READ,
    STEPS,
    UNKNOWN,
    Profile,
    Promise,
    merged,
    table,
)  # fmt: skip

__all__ = ["PROFILES"]

_DICT_DOC = "D: dict objects"
_SET_DOC = "D: set objects"
_HOWTO = "H: as with the GIL"
_DEQUE_DOC = "C: thread-safe appends and pops"
_ITERATION = "D: iteration is never atomic"

_C_CALLS = (Promise(*ATOMIC, _HOWTO), Promise(*LOOSE_READ, "not documented"))
_PYTHON_CODE = table("__init__ __setstate__", UNKNOWN, "not documented")
_NEVER_ATOMIC = table(
    "__iter__ __reversed__ list() set() frozenset() dict() type() deque() Counter() OrderedDict() "
    "update() dict.fromkeys() fromkeys",
    LOOSE_READ,
    _ITERATION,
)
_ERRORS = frozenset({"RuntimeError", "StopIteration", "KeyError", "IndexError", "ValueError"})

_DICT_WRITES = table(
    "__setitem__ __delitem__ pop popitem setdefault clear update __ior__", ATOMIC, _DICT_DOC
)
_DICT_READS = table("__getitem__ get __contains__ __len__ __bool__", GLIMPSE, _DICT_DOC)
_DICT = merged(
    _PYTHON_CODE,
    _NEVER_ATOMIC,
    _DICT_READS,
    _DICT_WRITES,
    table("copy __copy__ __or__ __ror__ keys values items __eq__ __ne__", READ, _DICT_DOC),
)
_SET = merged(
    _PYTHON_CODE,
    _NEVER_ATOMIC,
    table("__len__ __bool__ __contains__", GLIMPSE, _SET_DOC),
    table(
        "add remove discard pop clear update __ior__ __iand__ __isub__ __ixor__ "
        "intersection_update difference_update symmetric_difference_update",
        ATOMIC,
        _SET_DOC,
    ),
    table(
        "copy __copy__ __or__ __and__ __sub__ __xor__ __ror__ __rand__ __rsub__ __rxor__ "
        "isdisjoint issubset issuperset union intersection difference symmetric_difference",
        READ,
        _SET_DOC,
    ),
)
_COUNTER = merged(
    _PYTHON_CODE,
    _NEVER_ATOMIC,
    _DICT_READS,
    table("__setitem__ pop popitem setdefault clear", ATOMIC, _DICT_DOC),
    table("update", STEPS, _HOWTO + ": each count is one step of a loop written in C"),
    table(
        "__delitem__ subtract __iadd__ __isub__ __iand__ __ior__ __ixor__ _keep_positive",
        UNKNOWN,
        "written in Python, not documented",
    ),
)
_ORDERED_DICT = merged(
    _PYTHON_CODE,
    _NEVER_ATOMIC,
    table("__getitem__ get __contains__ __len__ __bool__", GLIMPSE, _DICT_DOC),
    table("__setitem__ __delitem__ pop popitem setdefault move_to_end clear", ATOMIC, _HOWTO),
    table("update __ior__", STEPS, _HOWTO + ": key by key"),
)
_DEFAULT_DICT = merged(
    _DICT,
    table("__missing__ __getitem__", ATOMIC, _HOWTO),
    # Whoever reads it with [] inserts what is missing.
    table(
        "copy __copy__ __or__ __ror__ OrderedDict() Counter() type() update()",
        UNKNOWN,
        "not documented",
    ),
)
_DEQUE = merged(
    _PYTHON_CODE,
    _NEVER_ATOMIC,
    table("append appendleft pop popleft", ATOMIC, _DEQUE_DOC),
    table(
        "extend extendleft rotate reverse insert remove clear __iadd__ __imul__ "
        "__setitem__ __delitem__",
        ATOMIC,
        _HOWTO,
    ),
    table("copy __copy__", READ, _HOWTO),
    table("__len__ __bool__", GLIMPSE, _HOWTO),
)

_BOTH_LOCKED = frozenset({"set", "frozenset", "dict", "self"})
# Reading other operands takes locks of their own, which may interrupt the lock on the container, or
# runs code in Python (generators; Counter, which compares so), where threads change with the GIL too.
_PLAIN = frozenset({"set", "frozenset", "dict", "own", "self", "pairs", "list"})

PROFILES = {
    "builtins.dict": Profile(
        "dict", _DICT, _C_CALLS, "D, H", ordered=True, python_keys=False, errors=_ERRORS, hostile=ALL_HOSTILE,
        locked_operands=frozenset({"dict", "self"}), plain_operands=_PLAIN,
        makers=("T({contents})", "aged(T({contents}))", "instance_dict({contents})"),
    ),
    "builtins.set": Profile(
        "set", _SET, _C_CALLS, "D, H", python_keys=False, errors=_ERRORS, hostile=ALL_HOSTILE,
        locked_operands=_BOTH_LOCKED, plain_operands=_PLAIN, makers=("T({contents})", "aged(T({contents}))"),
    ),
    "builtins.frozenset": Profile(
        "frozenset", _SET, _C_CALLS, "D, H", python_keys=False, errors=_ERRORS, hostile=ALL_HOSTILE,
        locked_operands=_BOTH_LOCKED, plain_operands=_PLAIN,
    ),
    "collections.Counter": Profile(
        "Counter", _COUNTER, (Promise(*UNKNOWN, "not documented"), _C_CALLS[1]), "D, H",
        ordered=True, python_keys=False, errors=_ERRORS | {"TypeError"}, hostile=ALL_HOSTILE,
        locked_operands=frozenset({"self"}), plain_operands=_PLAIN,
    ),
    "collections.OrderedDict": Profile(
        "OrderedDict", _ORDERED_DICT, _C_CALLS, "D, H", ordered=True, python_keys=False,
        errors=_ERRORS, hostile=ALL_HOSTILE, makers=("T({contents})", "aged(T({contents}))"),
        locked_operands=frozenset({"self"}), plain_operands=_PLAIN,
    ),
    "collections.defaultdict": Profile(
        "defaultdict", _DEFAULT_DICT, _C_CALLS, "D, H", ordered=True, python_keys=False,
        errors=_ERRORS, hostile=ALL_HOSTILE, locked_operands=frozenset({"dict", "self"}),
        makers=("T(Factory(), {contents})", "T(int, {contents})", "T(None, {contents})"),
        plain_operands=_PLAIN,
    ),
    "collections.deque": Profile(
        "deque", _DEQUE, _C_CALLS, "C, H", python_keys=False, errors=_ERRORS, hostile=ALL_HOSTILE,
        makers=("T({contents})", "T({contents}, 4)"), locked_operands=frozenset({"self"}),
        plain_operands=_PLAIN,
    ),
}  # fmt: skip
