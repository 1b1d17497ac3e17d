"""How operations are written: source templates per method name, and what stands for what.

A template is one expression (or, after `!`, one or more statements that set `r`). In it stand

    {a}   the container                    {k}   one of the hot keys
    {n}   a small number                   {v}   a value
    {ks}  an iterable of keys              {m}   a mapping, {p} pairs, {o} any operand: a literal,
    {f}   a callable without arguments           a container shared by the threads, or {a} itself
    {g}   a callable of one argument

Which of the templates a type answers to is tried out on an instance of it (catalogue.py), so one
table serves dicts, sets, deques and strangers. A method that the table does not know is tried with
the patterns of `GUESSES`.
"""

from __future__ import annotations

from ..profiles.base import names_of

__all__ = ["GENERAL", "GUESSES", "ITERATORS", "ITERATOR_MAKERS", "METHODS", "SKIPPED", "VIEWS"]

METHODS: dict[str, tuple[str, ...]] = {
    # sets
    "add": ("{a}.add({k})",),
    "discard": ("{a}.discard({k})", "{a}.discard({o})"),
    "remove": ("{a}.remove({k})", "{a}.remove({o})"),
    "union": ("{a}.union({o})", "{a}.union({ks}, {o})"),
    "intersection": ("{a}.intersection({o})", "{a}.intersection({ks}, {o})"),
    "difference": ("{a}.difference({o})", "{a}.difference({ks}, {o})"),
    "symmetric_difference": ("{a}.symmetric_difference({o})",),
    "intersection_update": ("{a}.intersection_update({o})", "{a}.intersection_update({ks}, {o})"),
    "difference_update": ("{a}.difference_update({o})", "{a}.difference_update({ks}, {o})"),
    "symmetric_difference_update": ("{a}.symmetric_difference_update({o})",),
    "isdisjoint": ("{a}.isdisjoint({o})",),
    "issubset": ("{a}.issubset({o})",),
    "issuperset": ("{a}.issuperset({o})",),
    # mappings
    "get": ("{a}.get({k})", "{a}.get({k}, {v})"),
    "pop": ("{a}.pop()", "{a}.pop({k})", "{a}.pop({k}, {v})"),
    "popitem": ("{a}.popitem()", "{a}.popitem(False)", "{a}.popitem(last=False)"),
    "setdefault": ("{a}.setdefault({k}, {v})", "{a}.setdefault({k})"),
    "update": ("{a}.update({m})", "{a}.update({p})", "{a}.update({ks})", "{a}.update({o})"),
    "clear": ("{a}.clear()",),
    "copy": ("{a}.copy()",),
    "fromkeys": ("{a}.fromkeys({o})", "type({a}).fromkeys({a}, {v})"),
    "keys": ("{a}.keys()",),
    "values": ("{a}.values()",),
    "items": ("{a}.items()",),
    "move_to_end": ("{a}.move_to_end({k})", "{a}.move_to_end({k}, last=False)"),
    "most_common": ("{a}.most_common()", "{a}.most_common(2)"),
    "elements": ("list(islice({a}.elements(), 20))",),
    "subtract": ("{a}.subtract({ks})", "{a}.subtract({o})"),
    "__missing__": ("{a}.__missing__({k})",),
    # deques
    "append": ("{a}.append({k})",),
    "appendleft": ("{a}.appendleft({k})",),
    "extend": ("{a}.extend({ks})", "{a}.extend({o})"),
    "extendleft": ("{a}.extendleft({ks})", "{a}.extendleft({o})"),
    "popleft": ("{a}.popleft()",),
    "rotate": ("{a}.rotate({n})", "{a}.rotate(-{n})"),
    "reverse": ("{a}.reverse()",),
    "insert": ("{a}.insert({n}, {k})",),
    "index": ("{a}.index({k})", "{a}.index({k}, {n})", "{a}.index({k}, 0, {n})"),
    "count": ("{a}.count({k})",),
    "sort": ("{a}.sort(key=id)",),
    # what the tables of this package add
    "compare_and_set": (
        "{a}.compare_and_set({k}, {v}, {v})",
        "{a}.compare_and_set({k}, MISSING, {v})",
    ),
    "compare_and_delete": ("{a}.compare_and_delete({k}, {v})",),
    "swap": ("{a}.swap({k}, {v})",),
    "compute": ("{a}.compute({k}, lambda old: {v})", "{a}.compute({k}, lambda old: MISSING)"),
    "compute_if_absent": ("{a}.compute_if_absent({k}, {f})",),
    "increment": ("{a}.increment({k})", "{a}.increment({k}, {n})"),
    "get_many": ("{a}.get_many([{k}, {k}])",),
    "pop_many": ("{a}.pop_many([{k}, {k}])",),
    "update_many": ("{a}.update_many({m})",),
    "set": ("{a}.set({k}, {v})",),
    "steal": ("{a}.steal({k})",),
    "foreach": ("{a}.foreach(lambda key, value: None)",),
    "guard": ("{a}.guard({k})()",),
    "watch": (),  # delivers to callbacks: the watching workload judges that
    "subscribe": (),
    "destroy": (),
}

# Operators and the functions that ask a container something; the name is that of the profile.
GENERAL: tuple[tuple[str, str], ...] = (
    ("__len__", "len({a})"),
    ("__bool__", "bool({a})"),
    ("__contains__", "{k} in {a}"),
    ("__contains__", "{o} in {a}"),
    ("__getitem__", "{a}[{k}]"),
    ("__getitem__", "{a}[{n}]"),
    ("__setitem__", "!{a}[{k}] = {v}; r = None"),
    ("__setitem__", "!{a}[{n}] = {k}; r = None"),
    ("__delitem__", "!del {a}[{k}]; r = None"),
    ("__delitem__", "!del {a}[{n}]; r = None"),
    ("__iter__", "list({a})"),
    ("__iter__", "[*{a}]"),
    ("__iter__", "[x for x in {a}]"),
    ("__iter__", "next(iter({a}), None)"),
    ("__iter__", "len(iter({a}).__reduce__())"),
    ("__iter__", "min({a}, key=id, default=None)"),
    ("__iter__", "sorted({a}, key=id)"),
    ("__iter__", "any(x is None for x in {a})"),
    ("zip()", "list(zip({a}, {a}))"),
    ("__reversed__", "list(reversed({a}))"),
    ("__reversed__", "next(reversed({a}), None)"),
    ("list()", "[*{a}, *{a}]"),
    ("set()", "set({a})"),
    ("frozenset()", "frozenset({a})"),
    ("dict()", "dict({a})"),
    ("dict()", "{{**{a}}}"),
    ("type()", "type({a})({a})"),
    ("deque()", "deque({a})"),
    ("Counter()", "Counter({a})"),
    ("OrderedDict()", "OrderedDict({a})"),
    ("dict.fromkeys()", "dict.fromkeys({a})"),
    ("update()", "!r = {{}}; r.update({a})"),
    ("update()", "!r = OrderedDict(); r.update({a})"),
    ("update()", "!r = Counter(); r.update({a})"),
    ("set.update()", "!r = set({ks}); r.update({a})"),
    ("set.difference_update()", "!r = set({ks}); r.difference_update({a})"),
    ("set.intersection_update()", "!r = set({ks}); r.intersection_update({a})"),
    ("set.symmetric_difference_update()", "!r = set({ks}); r.symmetric_difference_update({a})"),
    ("list.extend()", "!r = []; r.extend({a})"),
    ("list.extend()", "!r = [None]; r[:] = {a}"),
    ("deque.extend()", "!r = deque({ks}, 3); r.extend({a})"),
    ("__dict__", "len({a}.__dict__)"),
    ("__dict__", "{a}.__dict__.pop('extra', None)"),
    ("__dict__", "!{a}.__dict__ = {{}}; r = None"),
    ("__setattr__", "!{a}.extra = {v}; r = None"),
    ("__getattribute__", "getattr({a}, 'extra', None)"),
    ("__class__", "!{a}.__class__ = type({a}); r = None"),
    ("__repr__", "repr({a})"),
    ("__eq__", "{a} == {o}"),
    ("__eq__", "{o} == {a}"),
    ("__ne__", "{a} != {o}"),
    ("__lt__", "{a} < {o}"),
    ("__le__", "{a} <= {o}"),
    ("__gt__", "{a} > {o}"),
    ("__ge__", "{a} >= {o}"),
    ("__or__", "{a} | {o}"),
    ("__and__", "{a} & {o}"),
    ("__sub__", "{a} - {o}"),
    ("__xor__", "{a} ^ {o}"),
    ("__add__", "{a} + {o}"),
    ("__mul__", "{a} * 2"),
    ("__rmul__", "2 * {a}"),
    ("__ror__", "{o} | {a}"),
    ("__rand__", "{o} & {a}"),
    ("__rsub__", "{o} - {a}"),
    ("__rxor__", "{o} ^ {a}"),
    ("__radd__", "{o} + {a}"),
    ("__pos__", "+{a}"),
    ("__neg__", "-{a}"),
    ("__ior__", "!r = {a}; r |= {o}; r = r is {a}"),
    ("__iand__", "!r = {a}; r &= {o}; r = r is {a}"),
    ("__isub__", "!r = {a}; r -= {o}; r = r is {a}"),
    ("__ixor__", "!r = {a}; r ^= {o}; r = r is {a}"),
    ("__iadd__", "!r = {a}; r += {o}; r = r is {a}"),
    ("__imul__", "!r = {a}; r *= {n}; r = r is {a}"),
    ("__hash__", "hash({a})"),
    ("__copy__", "copy.copy({a})"),
    ("__deepcopy__", "len(copy.deepcopy({a}))"),
    ("__reduce__", "{a}.__reduce__()"),
    ("__reduce_ex__", "pickle.loads(pickle.dumps({a}, 5))"),
    ("__sizeof__", "{a}.__sizeof__() > 0"),
    ("__init__", "{a}.__init__({o})"),
    ("__init__", "{a}.__init__({ks})"),
    ("__init__", "{a}.__init__()"),
    ("__init__", "{a}.__init__({ks}, {n})"),
    ("__init__", "{a}.__init__({f}, {p})"),
    ("__setstate__", "{a}.__setstate__({{}})"),
)

# Of views: {w} is `{a}.items()` and so on, or a view that the threads share.
VIEWS: tuple[tuple[str, str], ...] = (
    ("__len__", "len({w})"),
    ("__contains__", "{k} in {w}"),
    ("__contains__", "({k}, {v}) in {w}"),
    ("__iter__", "list({w})"),
    ("__iter__", "[x for x in {w}]"),
    ("__iter__", "next(iter({w}), None)"),
    ("__iter__", "sorted({w}, key=id)"),
    ("__reversed__", "list(reversed({w}))"),
    ("__eq__", "{w} == {o}"),
    ("__le__", "{w} <= {o}"),
    ("__gt__", "{w} > {o}"),
    ("__and__", "{w} & {o}"),
    ("__or__", "{w} | {o}"),
    ("__sub__", "{w} - {o}"),
    ("__xor__", "{w} ^ {o}"),
    ("__rand__", "{o} & {w}"),
    ("__rsub__", "{o} - {w}"),
    ("isdisjoint", "{w}.isdisjoint({o})"),
    ("__repr__", "repr({w})"),
    ("mapping", "{w}.mapping"),
)

# Of iterators that the threads share: {i}.
ITERATORS: tuple[tuple[str, str], ...] = (
    ("__next__", "next({i}, None)"),
    ("__next__", "next({i})"),
    ("__next__", "[next({i}, None), next({i}, None)]"),
    ("__next__", "list({i})"),
    ("__next__", "list(zip({i}, {i}))"),
    ("__next__", "[x for x in {i}]"),
    ("__next__", "[next({i}, None) for _ in range(4)]"),
    ("__next__", "list(islice({i}, 2))"),
    ("__next__", "next(zip({i}, {i}), None)"),
    ("__next__", "list(enumerate({i}))"),
    ("__next__", "list(map(id, {i})) is None"),
    ("__next__", "deque({i}, 2)"),
    ("__next__", "dict.fromkeys({i})"),
    ("__contains__", "{k} in {i}"),
    ("__length_hint__", "length_hint({i})"),
    ("__reduce__", "len({i}.__reduce__())"),
    ("__reduce__", "list(copy.copy({i}))"),
    ("__setstate__", "{i}.__setstate__({n})"),
    ("__repr__", "repr({i}) != ''"),
)
ITERATOR_MAKERS = (
    "iter({a})",
    "iter({a})",
    "reversed({a})",
    "iter({a}.keys())",
    "iter({a}.values())",
    "iter({a}.items())",
    "reversed({a}.keys())",
    "reversed({a}.values())",
    "reversed({a}.items())",
    "enumerate({a})",
    "zip({a}, {a})",
    "map(id, {a})",
    "islice({a}, 0, None)",
)

# Methods that are not tried: what every object has, and what is not about the contents.
SKIPPED = names_of(
    "__class__ __class_getitem__ __delattr__ __dict__ __dir__ __doc__ __format__ __getattribute__ "
    "__getstate__ __init_subclass__ __module__ __new__ __setattr__ __slots__ __str__ "
    "__subclasshook__ __weakref__ __abstractmethods__ __orig_bases__ __parameters__ __annotations__ "
    "__annotate__ __annotations_cache__ __firstlineno__ __static_attributes__ __match_args__ "
    "__buffer__ __release_buffer__ __del__ __length_hint__ __getattr__"
)

GUESSES = (
    "{a}.{name}()",
    "{a}.{name}({k})",
    "{a}.{name}({k}, {v})",
    "{a}.{name}({ks})",
    "{a}.{name}({o})",
    "{a}.{name}({n})",
    "{a}.{name}({f})",
)
