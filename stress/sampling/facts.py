"""A scenario as JSON values and back: what replay tokens and findings carry.

Only what differs from a field's default is written, so that facts stay short. What an older or newer
harness wrote with fields that this one does not have is refused by name.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any

from ..profiles import Effect, Result
from .scenario import Call, Scenario
from .values import Values

__all__ = ["facts_of", "scenario_from"]

# Once: `fields` makes a tuple of unknown length, which fails while a fault lists all objects.
_FIELDS: dict[type, tuple[Field[Any], ...]] = {
    kind: fields(kind) for kind in (Call, Scenario, Values)
}


def facts_of(scenario: Scenario) -> dict[str, Any]:
    """JSON values that `scenario_from` makes an equal scenario of."""
    facts = _facts(scenario)
    facts["values"] = _facts(scenario.values)
    facts["threads"] = [[_call_facts(call) for call in calls] for calls in scenario.threads]
    return facts


def scenario_from(facts: dict[str, Any]) -> Scenario:
    """The scenario of such facts.

    Raises:
        ValueError: a field is unknown, or has no meaning here; the message names it.
    """
    given = dict(facts)
    given["values"] = Values(**_known(Values, given.get("values")))
    given["threads"] = tuple(
        [tuple([_call_from(call) for call in calls]) for calls in given.get("threads", ())]
    )
    for name in ("contents", "operands"):
        given[name] = tuple([(key, source) for key, source in given.get(name, ())])
    return Scenario(**_known(Scenario, given))


def _facts(value: Any) -> dict[str, Any]:
    found = {}
    for field in _FIELDS[type(value)]:
        each = getattr(value, field.name)
        if field.default is MISSING or each != field.default:
            found[field.name] = each
    return found


def _call_facts(call: Call) -> dict[str, Any]:
    facts = _facts(call)
    return {**facts, "effect": call.effect.name, "result": call.result.name}


def _call_from(facts: dict[str, Any]) -> Call:
    given = _known(Call, facts)
    given["steps"] = (*given.get("steps", ()),)
    try:
        given["effect"], given["result"] = Effect[given["effect"]], Result[given["result"]]
    except KeyError as error:
        raise ValueError(f"this harness knows no promise {error}") from None
    return Call(**given)


def _known(kind: type, facts: Any) -> dict[str, Any]:
    if not isinstance(facts, dict):
        raise ValueError(f"there is no {kind.__name__.lower()} in it")
    known = {field.name for field in _FIELDS[kind]}
    strange = sorted(set(facts) - known)
    if strange:
        raise ValueError(f"this harness knows no {', '.join(strange)} of a {kind.__name__.lower()}")
    needed = {
        field.name
        for field in _FIELDS[kind]
        if field.default is MISSING and field.default_factory is MISSING
    }
    missing = sorted(needed - set(facts))
    if missing:
        raise ValueError(f"a {kind.__name__.lower()} lacks {', '.join(missing)}")
    return dict(facts)
