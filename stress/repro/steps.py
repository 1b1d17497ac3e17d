"""What can be left out of a scenario, or made simpler: each step gives a smaller case.

Bigger steps come first: faults, threads, calls; then what calls are given; then contents and operands;
then styles. Steps only work on sources that the generator writes; what they do not recognise
they leave alone. Promises are never raised: a smaller case may be judged less sharply, never more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..sampling.scenario import Call, Scenario

__all__ = ["Case", "size_of", "smaller"]

_SLICE = re.compile(r"\b([KV])\[(\d+):(\d+)\]")
_CONTENTS = re.compile(r"^contents\(K\[(\d+):(\d+)\], V\[(\d*):\]\)$")
_HOT = re.compile(r"\b([KV])(\d)\b")
_GROUP = re.compile(
    r"(?<![\w)])[(\[]((?:[KV]\d, |\([KV]\d, [KV]\d\), )*(?:[KV]\d|\([KV]\d, [KV]\d\)),)[)\]]"
)
_PARTS = re.compile(r"\([KV]\d, [KV]\d\)|[KV]\d")


@dataclass(frozen=True)
class Case:
    """A scenario and the faults that are on while it runs."""

    scenario: Scenario
    faults: tuple[str, ...] = ()


def size_of(case: Case) -> str:
    """For people: how large a case is."""
    scenario = case.scenario
    keys = {name for call in scenario.calls for name in _HOT.findall(call.source)}
    parts = [
        _counted(len(scenario.threads), "thread"),
        _counted(len(scenario.calls), "call"),
        _counted(len([1 for letter, _ in keys if letter == "K"]), "key"),
    ]
    if case.faults:
        parts.append(_counted(len(case.faults), "fault"))
    return ", ".join(parts)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def smaller(case: Case) -> Iterator[tuple[str, Case]]:
    """Every simpler case one step away, with what was done, the most promising first."""
    seen = {case}
    for step in (_faults, _threads, _calls, _parts, _contents, _operands, _shared, _names, _styles):
        for text, found in step(case):
            found = _tidy(found)
            if found not in seen:
                seen.add(found)
                yield text, found


# -- faults, threads, calls ------------------------------------------------------------------------


def _faults(case: Case) -> Iterator[tuple[str, Case]]:
    if len(case.faults) > 1:
        yield "without faults", replace(case, faults=())
    for name in case.faults:
        yield (
            f"without the fault {name!r}",
            replace(case, faults=tuple([other for other in case.faults if other != name])),
        )


def _threads(case: Case) -> Iterator[tuple[str, Case]]:
    threads = case.scenario.threads
    if len(threads) < 3:
        return
    for number in range(len(threads)):
        left = threads[:number] + threads[number + 1 :]
        yield f"without thread {number}", _with(case, threads=left)


def _calls(case: Case) -> Iterator[tuple[str, Case]]:
    for thread, calls in enumerate(case.scenario.threads):
        for index, call in enumerate(calls):
            less = case.scenario.without(thread, index)
            if less is not None:
                yield f"without {call.text}", replace(case, scenario=less)


# -- what calls are given --------------------------------------------------------------------------


def _parts(case: Case) -> Iterator[tuple[str, Case]]:
    """One key less in a literal list, and in the steps that stand for the call."""
    for thread, calls in enumerate(case.scenario.threads):
        for index, call in enumerate(calls):
            for group in _GROUP.finditer(call.source):
                parts = _PARTS.findall(group[1])
                for number in range(len(parts)):
                    changed = _less(call, group, parts, number)
                    if changed is not None:
                        yield f"without {parts[number]}", _call(case, thread, index, changed)


def _less(call: Call, group: re.Match[str], parts: list[str], number: int) -> Call | None:
    steps = call.steps
    if steps:
        if len(steps) != len(parts):
            return None
        steps = steps[:number] + steps[number + 1 :]
        if not steps:
            return None
    left = " ".join([f"{part}," for part in parts[:number] + parts[number + 1 :]])
    start, end = group.span(1)
    return replace(call, source=call.source[:start] + left + call.source[end:], steps=steps)


# -- contents and operands -------------------------------------------------------------------------


def _contents(case: Case) -> Iterator[tuple[str, Case]]:
    for number, (name, source) in enumerate(case.scenario.contents):
        found = _CONTENTS.match(source)
        if found is None:
            continue
        start, stop = int(found[1]), int(found[2])
        for first, size in _sizes(start, stop - start):
            shorter = f"contents(K[{first}:{first + size}], V[{found[3]}:])"
            yield (
                f"{_counted(size, 'key')} in {name}",
                _with(case, contents=_put(case.scenario.contents, number, name, shorter)),
            )


def _operands(case: Case) -> Iterator[tuple[str, Case]]:
    """Smaller operands; not where the steps of a call depend on them."""
    fixed = " ".join([call.source for call in case.scenario.calls if call.steps])
    for number, (name, source) in enumerate(case.scenario.operands):
        if re.search(rf"\b{name}\b", fixed):
            continue
        for text, shorter in _shorter(source):
            yield (
                f"{text} in {name}",
                _with(case, operands=_put(case.scenario.operands, number, name, shorter)),
            )
    if case.scenario.b and not re.search(r"\bb\b", fixed):
        for text, shorter in _shorter(case.scenario.b):
            yield f"{text} in b", _with(case, b=shorter)


def _shorter(source: str) -> Iterator[tuple[str, str]]:
    found = _SLICE.search(source)
    if found is None:
        return
    start, stop = int(found[2]), int(found[3])
    for first, size in _sizes(start, stop - start):

        def narrowed(match: re.Match[str], first: int = first, size: int = size) -> str:
            return f"{match[1]}[{first}:{first + size}]"

        yield _counted(size, "key"), _SLICE.sub(narrowed, source)


def _sizes(start: int, size: int) -> Iterator[tuple[int, int]]:
    """(first key, how many), the smallest first."""
    for less in (0, 1, 2, 3, size // 4, size // 2, size - 1):
        if 0 <= less < size:
            yield start, less
    if start:
        yield 0, size


def _put(
    pairs: tuple[tuple[str, str], ...], number: int, name: str, source: str
) -> tuple[tuple[str, str], ...]:
    return (*pairs[:number], (name, source), *pairs[number + 1 :])


# -- shared objects, names, styles -----------------------------------------------------------------


def _shared(case: Case) -> Iterator[tuple[str, Case]]:
    """Plainly made containers; a fresh operand instead of a shared one is another scenario."""
    scenario = case.scenario
    for wrapper in ("aged", "instance_dict"):
        found = re.match(rf"^{wrapper}\((.*)\)$", scenario.a)
        if found is not None:
            inner = found[1] if found[1].startswith("T(") else f"T({found[1]})"
            yield f"not {wrapper}", _with(case, a=inner)


def _names(case: Case) -> Iterator[tuple[str, Case]]:
    """Fewer and lower keys and values."""
    text = " ".join([call.source for call in case.scenario.calls])
    for letter in "KV":
        numbers = sorted({int(number) for found, number in _HOT.findall(text) if found == letter})
        for number in reversed(numbers):
            for lower in range(number):
                yield (
                    f"{letter}{lower} for {letter}{number}",
                    _renamed(case, f"{letter}{number}", f"{letter}{lower}"),
                )


def _renamed(case: Case, old: str, new: str) -> Case:
    def name(source: str) -> str:
        return re.sub(rf"\b{old}\b", new, source)

    return _with(
        case,
        threads=tuple(
            [
                tuple(
                    [
                        replace(
                            call,
                            source=name(call.source),
                            steps=tuple([name(step) for step in call.steps]),
                        )
                        for call in calls
                    ]
                )
                for calls in case.scenario.threads
            ]
        ),
    )


def _styles(case: Case) -> Iterator[tuple[str, Case]]:
    values = case.scenario.values
    if values.hostile:
        yield (
            "without hostile keys",
            _with(case, values=replace(values, style="str", hostile="")),
        )
        return
    if values.dying:
        yield "objects that live on", _kept(case)
        return
    order = ("tiny", "interned", "str", "int", "float", "tuple", "mixed", "object")
    for style in order[: order.index(values.style)]:
        yield f"keys of style {style!r}", _with(case, values=replace(values, style=style))
    if values.value_style != "small":
        yield "small values", _with(case, values=replace(values, value_style="small"))


def _kept(case: Case) -> Case:
    """Keys and values themselves where new equal ones were made."""
    scenario = case.scenario

    def plain(source: str) -> str:
        source = re.sub(r"\(([KV]\d) \+ 0\.0\)", r"\1", source)
        return re.sub(r"renewed\((C\d+)\)", r"\1", source)

    threads = []
    for calls in scenario.threads:
        changed = [
            replace(
                call,
                source=plain(call.source),
                steps=tuple([plain(step) for step in call.steps]),
            )
            for call in calls
        ]
        threads.append(tuple(changed))
    return _with(
        case,
        a=plain(scenario.a),
        b=plain(scenario.b),
        threads=tuple(threads),
        operands=tuple([(name, plain(source)) for name, source in scenario.operands]),
        values=replace(scenario.values, dying=False),
    )


# -- helpers ---------------------------------------------------------------------------------------


def _with(case: Case, **changes: object) -> Case:
    return replace(case, scenario=replace(case.scenario, **changes))  # type: ignore[arg-type]


def _call(case: Case, thread: int, index: int, call: Call) -> Case:
    calls = case.scenario.threads[thread]
    changed = (*calls[:index], call, *calls[index + 1 :])
    threads = case.scenario.threads
    return _with(case, threads=(*threads[:thread], changed, *threads[thread + 1 :]))


def _tidy(case: Case) -> Case:
    """Without what nothing speaks of any more: a change of text, not of what runs."""
    scenario = case.scenario
    text = " ".join([" ".join((call.source, *call.steps)) for call in scenario.calls])

    def used(name: str, where: str) -> bool:
        return re.search(rf"\b{name}\b", where) is not None

    view = scenario.view if used("w", text) else ""
    iterator = scenario.iterator if used("i", text) else ""
    b = scenario.b if used("b", text) else ""
    everything = " ".join((text, scenario.a, b, view, iterator))
    operands = tuple([pair for pair in scenario.operands if used(pair[0], everything)])
    everything += " ".join([source for _, source in operands])
    contents = tuple([pair for pair in scenario.contents if used(pair[0], everything)])
    last = max(
        [
            int(stop)
            for source in (everything, *[source for _, source in contents])
            for _, _, stop in _SLICE.findall(source)
        ],
        default=1,
    )
    size = max(1, min(scenario.values.size, last))
    return _with(
        case,
        view=view,
        iterator=iterator,
        b=b,
        operands=operands,
        contents=contents,
        values=replace(scenario.values, size=size),
    )
