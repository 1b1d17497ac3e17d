"""What a standalone test needs to know of a scenario: its admissible outcomes, as source.

Worked out in the child: a container may not survive being looked at.
"""

from __future__ import annotations

from typing import Any

from ..sampling.freeze import SCALARS, Raised
from ..sampling.judge import errors_allowed
from ..sampling.outcomes import admissible
from ..sampling.sampler import at_rest
from ..sampling.scenario import Scenario
from ..sampling.subject import Subject
from ..sampling.values import HOT_KEYS
from ..sampling.weave import Woven, weave

__all__ = ["expectation"]

_MOST_OUTCOMES = 60


class _Inexpressible(Exception):
    """A value has no source."""


def expectation(scenario: Scenario, subject: Subject) -> dict[str, Any]:
    """JSON values: `outcomes` are sources of tuples, None where they cannot be written down."""
    woven = weave(scenario, subject, spinning=False)
    found = admissible(woven, at_rest(subject, scenario, woven.names["K"]), lambda: None)
    outcomes = None
    if found.exact and len(found.orders) <= _MOST_OUTCOMES:
        try:
            outcomes = sorted({_source(outcome, woven) for outcome in found.orders})
        except _Inexpressible:
            outcomes = None
    return {
        "outcomes": outcomes,
        "exact": [list(place) for place in found.columns.exact],
        "plain": [list(place) for place in sorted(found.columns.plain)],
        "errors": [
            [thread, index, sorted(errors_allowed(woven, found, subject, thread, index))]
            for thread, calls in enumerate(scenario.threads)
            for index in range(len(calls))
        ],
        "seconds": found.seconds,
        "shape": subject.shape,
        "ordered": subject.profile.ordered,
        "frozen": subject.frozen,
        "length": hasattr(subject.type, "__len__"),
        "profile": subject.profile.name,
        "source": subject.profile.source,
        "walks": subject.walks,
        "native": subject.target.native,
    }


def _source(value: Any, woven: Woven) -> str:
    """The value as an expression of the names that the test has."""
    if type(value) is Raised:
        return repr(f"raises {value.name}")
    named = _name(value, woven)
    if named:
        return named
    if type(value) in SCALARS:
        return repr(value)
    if type(value) is tuple:
        parts = [_source(part, woven) for part in value]
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
    if type(value) is frozenset:
        parts = sorted([_source(part, woven) for part in value])
        return f"frozenset({{{', '.join(parts)}}})" if parts else "frozenset()"
    raise _Inexpressible


def _name(value: Any, woven: Woven) -> str:
    """`K0`, `V[3]`...: what small numbers are called is their digits."""
    if type(value) in (int, bool, type(None)) and (value is None or abs(value) < 10_000):
        return ""
    keys, values = woven.names["K"], woven.names["V"]
    for number, key in enumerate(keys):
        if value is key or (type(value) is type(key) and value == key):
            return f"K{number}" if number < HOT_KEYS else f"K[{number}]"
    for number, each in enumerate(values):
        if value is each or (type(value) is type(each) and value == each):
            hot = number - len(keys)
            return f"V{hot}" if hot >= 0 else f"V[{number}]"
    return ""
