"""Expressions and statements that a table must answer exactly as its builtin does.

Each line is run twice, with `d` (or `s`) bound to the builtin and to the table; results, error types
and the state after are compared. `T` is the type under test (`dict` in the other run), `N` makes an
object with one hash for all, `X` is a mapping with only `keys` and `__getitem__`.
"""

from __future__ import annotations

DICT_READS = """
d['a']
d['zz']
d[1]
d[1.0]
d[True]
d[None]
d[(1, 2)]
d[N('x')]
d[N('absent')]
d[[]]
d[slice(1)]
'a' in d
'zz' in d
1.0 in d
[] in d
not d
bool(d)
len(d)
d.get('a')
d.get('zz')
d.get('zz', 5)
d.get('a', 5)
d.get()
d.get('a', 1, 2)
d.get(key='a')
d.get([])
d.get({})
list(d)
list(d.keys())
list(d.values())
list(d.items())
len(d.keys()), len(d.values()), len(d.items())
sorted(map(repr, d))
[*d]
{**d}
dict(d)
dict(d.items())
dict(**{k: v for k, v in d.items() if isinstance(k, str)})
max(k for k in d if isinstance(k, str))
next(iter(d)) in d
'a' in d.keys()
'zz' in d.keys()
[] in d.keys()
1 in d.values()
77 in d.values()
('a', 1) in d.items()
('a', 2) in d.items()
('zz', 2) in d.items()
('a',) in d.items()
('a', 1, 2) in d.items()
5 in d.items()
[] in d.items()
([], 1) in d.items()
d.keys() & {'a', 'zz'}
d.keys() | {'a', 'zz'}
d.keys() - {'a', 'zz'}
d.keys() ^ {'a', 'zz'}
{'a', 'zz'} & d.keys()
{'a', 'zz'} | d.keys()
{'a', 'zz'} - d.keys()
{'a', 'zz'} ^ d.keys()
d.keys() & ['a', 'a', 'q']
d.keys() | ['a', 'a', 'q']
d.keys() - ['a', 'a', 'q']
d.keys() ^ ['a', 'q']
d.keys() & ('a', 5)
d.keys() | ('a', 5)
d.keys() - ('a', 5)
d.keys() ^ ('a', 5)
d.keys() - ('a',)
d.keys() & 5
d.keys() | 5
d.keys() - 5
d.keys() ^ 5
d.keys() & [[]]
d.keys() & d.keys() == d.keys()
d.keys() == set(d)
d.keys() != set(d)
d.keys() <= set(d)
d.keys() < set(d)
d.keys() >= set(d)
d.keys() > set()
d.keys() < 5
d.keys() == list(d)
d.keys().isdisjoint({'a'})
d.keys().isdisjoint(['zz'])
d.keys().isdisjoint(5)
d.keys().isdisjoint([[]])
H.items() & {('a', 1), ('a', 3)}
H.items() | {('a', 1)}
H.items() - {('a', 1)}
H.items() ^ {('a', 1), 7}
H.items() == set(H.items())
H.items() <= set(H.items())
H.items().isdisjoint([('a', 1)])
H.items().isdisjoint([7])
d.items() & set()
d.items() == d.items()
d.values() == d.values()
d.values() & {1}
d.keys().mapping == d
d.values().mapping == d
d.items().mapping['a']
d.items().mapping['zz']
d.keys().mapping.__setitem__('a', 5)
d.keys().foo
hash(d.keys())
d.keys() == d
d == d
d != d
d == dict(d)
dict(d) == d
d == {}
{} == d
d != {}
d == 5
d == list(d.items())
d == {**d, 'zz': 1}
d < d
d < {}
d <= {}
d > {}
d | {'zz': 1}
{'zz': 1} | d
{'a': 'other'} | d
d | {'a': 'other'}
d | d
d | []
d | [('a', 1)]
[] | d
d | 5
5 | d
d + d
d & d
d.copy()
d.copy() == d
d.copy() is d
T.fromkeys('abca')
T.fromkeys('abca', 3)
T.fromkeys([])
T.fromkeys([[]])
T.fromkeys(5)
T.fromkeys()
T.fromkeys({'a': 5, 'b': 6}, 0)
T.fromkeys({'a', 'b'}, 0)
"""

DICT_ORDERED_READS = """
list(reversed(d))
list(reversed(d.keys()))
list(reversed(d.values()))
list(reversed(d.items()))
next(iter(d))
next(reversed(d))
[*d.items()][0]
repr(d.keys()).replace(T.__name__, 'dict')
iter(d).__length_hint__() == len(d)
"""

DICT_WRITES = """
d['a'] = 5
d['new'] = 6
d[1.0] = 'one'
d[True] = 'one'
d[N('x')] = 8
d[N('y')] = 9
d[[]] = 1
d[{}] = 1
del d['a']
del d['zz']
del d[[]]
del d[1.0]
del d[N('x')]
del d['a']; d['a'] = 7
for k in list(d): del d[k]
r = d.pop('a')
r = d.pop('zz')
r = d.pop('zz', 4)
r = d.pop('a', 4)
r = d.pop('zz', None)
r = d.pop()
r = d.pop('a', 1, 2)
r = d.pop([])
r = d.pop([], 1)
r = d.pop('a', default=1)
r = d.setdefault('a')
r = d.setdefault('a', 9)
r = d.setdefault('new')
r = d.setdefault('new', 9)
r = d.setdefault()
r = d.setdefault('a', 1, 2)
r = d.setdefault([])
r = d.setdefault([], 1)
r = d.clear()
d.clear(); d['q'] = 1
d.clear(); d.clear()
d.clear(1)
d.clear(); r = d.popitem()
r = d.popitem(1)
r = d.update()
r = d.update({'a': 9, 'new': 10})
r = d.update([('a', 9), ('new', 10)])
r = d.update([('a', 9)], new=10)
r = d.update(a=9, new=10)
r = d.update(self=1, other=2)
r = d.update(d)
r = d.update({})
r = d.update([])
r = d.update(())
r = d.update('')
r = d.update(X())
r = d.update(iter([('a', 1), ['b', 2], 'cd']))
r = d.update([('a', 1, 2)])
r = d.update([('q', 1), ('a',)])
r = d.update([('q', 1), 5])
r = d.update([('q', 1), ([], 2), ('r', 3)])
r = d.update(5)
r = d.update(None)
r = d.update({}, {})
r = d.update((k, 1) for k in 'ab')
r = d.update(object())
d |= {'a': 9, 'new': 10}
d |= [('a', 9), ('new', 10)]
d |= {}
d |= []
d |= 5
d |= None
d |= [1]
d |= [('q', 1), 5]
d |= d
d &= {}
for i in range(100): d[i] = i
for i in range(100): d[str(i)] = i
for i in range(30): d[N(i)] = i
for i in range(100): d[i] = i\nfor i in range(100): del d[i]
for i in range(50): d['a'] = i; del d['a']
for i in range(50): d.pop('tmp', None); d['tmp'] = i
d.__init__({'q': 1})
d.__init__([('q', 1)], w=2)
d.__init__()
r = d.__setitem__('a', 1)
r = d.__delitem__('a')
r = d.__contains__('a')
r = d.__getitem__('a')
r = d.__len__()
r = d.__eq__({}), d.__ne__({}), d.__eq__(5)
r = d.__or__(5), d.__ior__([])
x = d.pop; r = x('a')
d.x = 1
d.__class__ = int
del d.y
d[float('nan')] = 1
d[''] = 1; d[b''] = 2; d[()] = 3; d[0] = 4; d[0.0] = 5; d[-0.0] = 6; d[False] = 7
d['a' * 100] = 1; d['é'] = 2; d['\\ud800'] = 3; d['\\x00'] = 4
d[10**30] = 1; d[-1] = 2; d[-2] = 3; d[2**61 - 1] = 4
"""

DICT_POPITEM = """
r = d.popitem()
r = [d.popitem() for _ in range(len(d))]
r = d.popitem(), d.popitem(); d['again'] = 1; r = r + (d.popitem(),)
d['last'] = 1; r = d.popitem()
d['a'] = 0; r = d.popitem()
"""

SET_READS = """
1 in s
'zz' in s
[] in s
1.0 in s
True in s
{1} in s
frozenset([1]) in s
len(s)
bool(s)
s == s
s != s
s == set(s)
set(s) == s
s == frozenset(s)
frozenset(s) == s
s == set()
s == list(s)
s == 5
s != 5
s < s
s <= s
s <= set(s)
s < set(s) | {'zz'}
set(s) <= s
set(s) < s
set() < s
s > set()
s >= set()
s > s
s < 5
s <= [1]
5 > s
s & {1, 'zz'}
s | {1, 'zz'}
s - {1, 'zz'}
s ^ {1, 'zz'}
s & [1]
s | [1]
s - [1]
s ^ [1]
s & 5
[1] & s
5 | s
s & s
s | s
s - s
s ^ s
s & s.copy()
{1: 2}.keys() & s
s & {1: 2}.keys()
s - {1: 2}.keys()
s | {1: 2}.keys()
s ^ {1: 2}.keys()
s + s
s * 2
s.copy()
s.copy() == s
s.difference()
s.difference([1])
s.difference([1], ['a'], {2: 3})
s.difference(s)
s.difference(5)
s.difference([[]])
s.difference({1}, 5)
s.intersection()
s.intersection([1, 1, 'zz'])
s.intersection([1, 'a'], {1})
s.intersection(5)
s.intersection([[]])
s.intersection({1: 2})
s.intersection(s)
s.union()
s.union([1, 'zz'])
s.union([1], {2: 3}, 'xy')
s.union(5)
s.union([[]])
s.symmetric_difference([1, 'zz'])
s.symmetric_difference([1, 1])
s.symmetric_difference(s)
s.symmetric_difference()
s.symmetric_difference([1], [2])
s.symmetric_difference(5)
s.symmetric_difference([[]])
s.symmetric_difference({1: 2, 'a': 3})
s.isdisjoint([1])
s.isdisjoint(['zz'])
s.isdisjoint(s)
s.isdisjoint(5)
s.isdisjoint([[]])
s.isdisjoint()
s.issubset([1])
s.issubset(list(s) + ['zz'])
s.issubset(s)
s.issubset(5)
s.issubset([[]])
s.issuperset([1])
s.issuperset(['zz'])
s.issuperset([])
s.issuperset(5)
s.issuperset([[]])
s.issuperset(s)
sorted(map(repr, s))
{*s}
len([*s])
len(list(iter(s)))
iter(s).__length_hint__() == len(s)
s[1]
reversed(s)
s.foo
T() == set()
T([1, 1, 2]) == {1, 2}
T(iter('abc')) == set('abc')
T({1: 2}) == {1}
T(5)
T([[]])
T([1], [2])
T(x=1)
T(iterable=[1])
"""

SET_WRITES = """
r = s.add(1)
r = s.add('zz')
r = s.add([])
r = s.add(1.0)
r = s.add({1})
s.add()
s.add(1, 2)
r = s.discard(1)
r = s.discard('zz')
r = s.discard([])
r = s.discard({1})
r = s.remove(1)
r = s.remove('zz')
r = s.remove([])
r = s.remove({1})
s.add(frozenset([1])); s.remove({1})
s.add(frozenset([1])); s.discard({1})
s.add(frozenset([1])); r = {1} in s
r = s.clear()
s.clear(); s.pop()
s.clear(); s.add('q'); r = s.pop()
s.pop(1)
r = s.update()
r = s.update([1, 'zz'])
r = s.update([1], {2: 3}, 'xy')
r = s.update(5)
r = s.update(s)
r = s.update([7], 5)
r = s.update([8, [], 9])
r = s.difference_update()
r = s.difference_update([1, 'zz'])
r = s.difference_update([1], ['a'])
r = s.difference_update(s)
r = s.difference_update(5)
r = s.difference_update({1}, 5)
r = s.intersection_update()
r = s.intersection_update([1, 'zz'])
r = s.intersection_update([1, 'a'], {1})
r = s.intersection_update(s)
r = s.intersection_update(5)
r = s.intersection_update([[]])
r = s.symmetric_difference_update([1, 'zz'])
r = s.symmetric_difference_update([1, 1, 'zz', 'zz'])
r = s.symmetric_difference_update(s)
r = s.symmetric_difference_update({1: 2})
r = s.symmetric_difference_update(5)
r = s.symmetric_difference_update()
s |= {1, 'zz'}
s &= {1, 'zz'}
s -= {1, 'zz'}
s ^= {1, 'zz'}
s |= [1]
s &= [1]
s -= [1]
s ^= [1]
s |= 5
s |= s
s &= s
s -= s
s ^= s
s |= {1: 2}.keys()
s &= {1: 2}.keys()
s -= {1: 2}.keys()
s ^= {1: 2}.keys()
s += s
for i in range(200): s.add(i)
for i in range(200): s.add(N(i % 40))
for i in range(200): s.add(i)\nfor i in range(200): s.discard(i)
for i in range(200): s.add('t'); s.remove('t')
s.__init__([9])
s.__init__()
s.__init__(5)
r = s.__contains__(1), s.__len__(), s.__eq__(5), s.__or__(5), s.__and__([1])
s.x = 1
"""


def lines(text: str) -> list[str]:
    return [line for line in text.strip().splitlines() if line]
