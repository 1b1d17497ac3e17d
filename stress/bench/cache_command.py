"""`ct-stress bench cache`: throughput, hit ratios and memory of caches, side by side."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..environment import describe
from ..options import UsageError, check_writable
from ..verdicts import ExitStatus
from .cache_charts import write_cache_images, write_cache_page
from .cache_child import NotMeasured
from .cache_contestants import CacheContestant, find_cache_contestants
from .cache_judge import judge_cache
from .cache_rest import rest_percent
from .cache_rounds import WORKLOADS, CacheCell, measure_cell
from .cache_space import bytes_per_entry
from .cache_traces import (
    TRACE_GOALS,
    cache_hit_ratio,
    exact_lru_ratio,
    hit_ratio,
    read_trace,
    traces_folder,
)
from .images import load_matplotlib
from .options import parse_threads
from .run import machine

__all__ = ["run_cache_command"]

_SIZE = 10_000  # keys of a workload
_ENTRIES = 1_000_000  # where memory and the clock are measured; for memory a tenth with --quick
_REST_SECONDS = 15.0


def run_cache_command(parsed: argparse.Namespace) -> int:
    """Run `ct-stress bench cache`; the exit status."""
    if parsed.png is not None:
        load_matplotlib()  # complain before a long run, not after it
    check_writable(json=parsed.json, html=parsed.html)
    result = _read(parsed.source) if parsed.source else _measure(parsed)
    if parsed.json != "-":
        _show(result)
        if parsed.judge:
            _show_verdicts(result)
    if parsed.json is not None:
        text = json.dumps(result, indent=1) + "\n"
        if parsed.json == "-":
            sys.stdout.write(text)
        else:
            Path(parsed.json).write_text(text, encoding="utf-8")
    if parsed.html is not None:
        write_cache_page(result, parsed.html)
    if parsed.png is not None:
        write_cache_images(result, parsed.png)
    return ExitStatus.CLEAN if result["cells"] else ExitStatus.NOTHING_EXERCISED


def _read(path: str) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        judge_cache(result)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--from {path}: {error}") from error
    return result


def _measure(parsed: argparse.Namespace) -> dict[str, Any]:
    contestants, missing = find_cache_contestants()
    if parsed.contestants:
        known = {one.name for one in contestants}
        for name in parsed.contestants:
            if name not in known:
                raise UsageError(f"contestants: {name!r} is not here; {', '.join(known)} are")
        wanted = {"Cache", *parsed.contestants}
        contestants = [one for one in contestants if one.name in wanted]
    threads = parse_threads(parsed.threads) or ((1, 2, 4) if parsed.full else (1, 2))
    cells = [
        measure_cell(cell, contestants, parsed.rounds, lambda name: _say(f"measured {name}"))
        for cell in _cells(threads, full=parsed.full)
    ]
    not_measured: list[str] = []
    return {
        "environment": describe() | machine(),
        "not_installed": missing,
        "cells": [cell.as_json() for cell in cells],
        "traces": _traces(contestants, full=parsed.full),
        "memory": _memory(contestants, _ENTRIES if parsed.full else _ENTRIES // 10, not_measured),
        "rest_percent": _at_rest(not_measured) if parsed.full else None,
        "not_measured": not_measured,
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _cells(threads: tuple[int, ...], *, full: bool) -> list[CacheCell]:
    cells = []
    for workload in WORKLOADS:
        for count in threads:
            for ttl in (False, True) if full or workload == "hits" else (False,):
                cells.append(CacheCell(workload, count, "one", ttl, _SIZE))
                if count > 1 and workload == "hits":
                    cells.append(CacheCell(workload, count, "each", ttl, _SIZE))
    return cells


def _at_rest(not_measured: list[str]) -> float | None:
    try:
        percent = rest_percent(_ENTRIES, _REST_SECONDS)
    except NotMeasured as error:
        not_measured.append(f"the clock at rest is not measured: {error}")
        _say(not_measured[-1])
        return None
    _say("measured the clock at rest")
    return percent


def _traces(contestants: list[CacheContestant], *, full: bool) -> list[dict[str, Any]]:
    """Hit ratios in percent; the long traces only with --full."""
    from concurrent_tables._pure.hit_path import Entry
    from concurrent_tables.cache.policy import make_policy

    rows = []
    for goal in TRACE_GOALS if full else TRACE_GOALS[:3]:
        try:
            asked = read_trace(goal.trace)
        except FileNotFoundError:
            _say(f"no trace {goal.trace} in {traces_folder()} (CT_CORPUS names its place)")
            continue
        row: dict[str, Any] = {"trace": goal.trace, "maxsize": goal.maxsize}
        for name in ("tinylfu", "lru"):
            row[name] = hit_ratio(make_policy(name, goal.maxsize, seed=1), asked, Entry)
        row["exact_lru"] = exact_lru_ratio(asked, goal.maxsize)
        row["others"] = {
            one.name: cache_hit_ratio(one.make(goal.maxsize, None, bool), asked)
            for one in contestants
            if one.side == "other" and one.name != "lru_cache"  # it is the exact LRU
        }
        rows.append(row)
        _say(f"measured trace {goal.trace}")
    return rows


def _memory(
    contestants: list[CacheContestant], entries: int, not_measured: list[str]
) -> dict[str, float]:
    found = {}
    for one in contestants:
        if one.name != "lru_cache":  # it has no ttl
            try:
                found[one.name] = bytes_per_entry(one.name, entries)
            except NotMeasured as error:
                not_measured.append(f"the memory of {one.name} is not measured: {error}")
                _say(not_measured[-1])
    return found


def _show(result: dict[str, Any]) -> None:
    names: list[str] = []
    for cell in result["cells"]:
        names += [name for name in cell["rounds"] if name not in names]
    print("nanoseconds per operation and thread, lower quartiles of interleaved rounds")
    print(f"{'':34}" + "".join([f"{name:>17}" for name in names]))
    for given in result["cells"]:
        cell = CacheCell(**given)
        figures = [
            f"{cell.nanoseconds(name):17.0f}" if name in cell.rounds else f"{'-':>17}"
            for name in names
        ]
        print(f"{cell.name:34}" + "".join(figures))
    for row in result["traces"]:
        print(
            f"{row['trace']} @{row['maxsize']}: tinylfu {row['tinylfu']:.2f} %, "
            f"lru {row['lru']:.2f} %, exact LRU {row['exact_lru']:.2f} %"
            + "".join([f", {name} {one:.2f} %" for name, one in row.get("others", {}).items()])
        )
    for name, size in result["memory"].items():
        print(f"{name}: {size:.0f} bytes per entry with ttl, without key and value")
    if result.get("rest_percent") is not None:
        print(f"clock at rest: {result['rest_percent']:.2f} % of a core")
    for line in result.get("not_measured", ()):
        print(line)
    for name in result["not_installed"]:
        print(f"{name} is not installed")


def _show_verdicts(result: dict[str, Any]) -> None:
    for verdict in judge_cache(result):
        met = "met " if verdict.met else "MISS"
        print(f"{met} {verdict.goal}: {verdict.figure:.2f}, {verdict.sense} {verdict.limit:.2f}")
