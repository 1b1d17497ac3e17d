"""Findings made small: what is left out, what is accepted, tokens, written tests, replay."""

from __future__ import annotations

import ast
import builtins
import re
import subprocess
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from stress import cli
from stress.options import UsageError
from stress.profiles import Effect, Result
from stress.repro.expected import expectation
from stress.repro.minimise import minimise
from stress.repro.rates import Rate, clearly_below
from stress.repro.reproduce import circumstances
from stress.repro.steps import Case, smaller
from stress.repro.token import PREFIX, NativeToken, TokenError, decode, encode
from stress.repro.trials import Trial, Trials, family_of
from stress.repro.writer import identity_of, write_test
from stress.sampling.catalogue import catalogue_of
from stress.sampling.generator import Generator
from stress.sampling.scenario import Call, Scenario
from stress.sampling.subject import Subject
from stress.sampling.values import Values
from stress.sampling.weave import weave
from stress.targets import resolve, target_of
from tests.support import ROOT


def call(source: str, result: Result = Result.EXACT) -> Call:
    name = source.partition(".")[2].partition("(")[0]
    effect = Effect.NONE if name in ("__len__", "isdisjoint") else Effect.ATOMIC
    return Call(name, source, effect, result, writes=effect is Effect.ATOMIC)


def crowded(maker: str = "make(C0)") -> Case:
    """Two additions that matter, and much that does not."""
    scenario = Scenario(
        7,
        "subject",
        Values("tuple", "int", 40, 5),
        maker,
        (
            (call("a.discard(K5)"), call("a.add(K3)")),
            (call("a.add(K4)"),),
            (call("a.isdisjoint(O0)", Result.LOOSE),),
        ),
        contents=(("C0", "contents(K[0:3], V[0:])"),),
        operands=(("O0", "set(K[0:40])"),),
    )
    return Case(scenario, ("collections", "thread churn"))


# -- rates -----------------------------------------------------------------------------------------


def test_a_rate_is_clearly_below_another_only_beyond_chance() -> None:
    assert not clearly_below(Rate(1000, 8), Rate(1000, 10))
    assert clearly_below(Rate(1000, 2), Rate(1000, 12))
    assert not clearly_below(Rate(100, 0), Rate(1000, 8))  # too few samples to tell
    assert clearly_below(Rate(1000, 0), Rate(1000, 8))
    assert not clearly_below(Rate(10, 5), Rate(1000, 5))
    assert not clearly_below(Rate(), Rate())


# -- steps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [OrderedDict, set])
def test_every_smaller_case_of_every_kind_of_scenario_can_be_run(cls: type) -> None:
    subject = Subject(target_of(cls))
    generator = Generator(subject, catalogue_of(subject), Random(11))
    steps = set()
    for number in range(25):
        case = Case(generator.draw(number), ("signals",))
        for text, less in smaller(case):
            steps.add(text.partition(" ")[0])
            assert len(less.scenario.calls) <= len(case.scenario.calls)
            assert less.scenario.values.size <= case.scenario.values.size
            weave(less.scenario, subject, spinning=False).build(1)
    assert {"without", "0", "1", "keys"} <= steps


def test_a_part_that_a_call_is_given_goes_with_its_step() -> None:
    update = Call(
        "update", "a.update([K1, K2,])", Effect.STEPS, Result.LOOSE,
        steps=("a.update([K1])", "a.update([K2])"),
    )  # fmt: skip
    case = crowded()
    scenario = replace(case.scenario, threads=((update,), (call("a.add(K0)"),)), operands=())
    found = [less for text, less in smaller(Case(scenario)) if text == "without K1"]
    (left,) = [less.scenario.threads[0][0] for less in found]
    assert left.source == "a.update([K2,])" and left.steps == ("a.update([K2])",)


# -- minimising: a bench that knows the answer ------------------------------------------------------


class Known(Trials):
    """Cases fail when both additions are in them, more rarely with other keys than tuples."""

    def __init__(self) -> None:
        self.measured = 0

    def measure(
        self, scenario: Scenario, faults: Any, kinds: Any, *, seconds: float, enough: int,
        samples: float = float("inf"),
    ) -> Trial:  # fmt: skip
        self.measured += 1
        adding = [c.source for c in scenario.calls if c.name == "add"]
        rate = 1 / 100 if len(set(adding)) == 2 else 0.0
        if scenario.values.style != "tuple":
            rate /= 50
        trial = Trial()
        count = min(samples, enough / rate if rate else 10_000, 10_000)
        trial.rate = Rate(int(count), int(count * rate), int(count * rate))
        trial.seconds = 0.001
        return trial


def test_minimising_leaves_what_is_needed_and_keeps_the_rate() -> None:
    result = minimise(crowded(), "outcome", Known(), 30.0)
    scenario = result.case.scenario
    assert result.complete and not result.case.faults
    assert sorted(c.source for c in scenario.calls) == ["a.add(K0)", "a.add(K1)"]
    assert scenario.contents == (("C0", "contents(K[0:0], V[0:])"),)
    assert scenario.operands == () and len(scenario.threads) == 2
    assert scenario.values.style == "tuple"  # simpler keys would have failed too rarely
    assert scenario.values.value_style == "small"
    assert any("nothing more can be left out" in line for line in result.lines(crowded()))


def test_what_is_not_seen_again_is_left_as_it_is() -> None:
    case = crowded()
    quiet = replace(case.scenario, threads=case.scenario.threads[1:])
    bench = Known()
    result = minimise(Case(quiet), "outcome", bench, 30.0)
    assert result.case.scenario == quiet and not result.rate.events and bench.measured == 2
    assert "not seen again" in result.lines(case)[0]


# -- tokens ----------------------------------------------------------------------------------------


def token() -> NativeToken:
    return NativeToken(
        "tests.stress.fragile:LosingSet", "outcome", crowded(), 3, {"version": "0", "rate": [1, 9]}
    )


def test_a_token_holds_all_of_a_case() -> None:
    assert decode(encode(token())) == token()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda word: word[:-4], "says that they are"),
        (lambda word: word + "AA", "says that they are"),
        (lambda word: f"{word[:30]}.{word[31:]}", "character 31 is '.'"),
        (lambda word: word[:30] + ("A" if word[30] != "A" else "B") + word[31:], "checksum"),
        (lambda word: "ctn9-" + word[5:], "format 9"),
        (lambda word: "cts1-" + word[5:], "no replay token"),
        (lambda word: "hello", "no replay token"),
        (lambda word: PREFIX, "damaged"),
    ],
)
def test_a_damaged_or_foreign_token_is_told_so(change: Any, message: str) -> None:
    with pytest.raises(TokenError, match=re.escape(message)):
        decode(change(encode(token())))


def test_the_file_name_is_that_of_the_scenario() -> None:
    case = crowded()
    assert identity_of("m:C", "outcome", case) == identity_of("m:C", "outcome", crowded())
    later = replace(case, scenario=replace(case.scenario, number=99))
    assert identity_of("m:C", "outcome", later) == identity_of("m:C", "outcome", case)
    assert identity_of("m:C", "crash", case) != identity_of("m:C", "outcome", case)


# -- real children, written files -------------------------------------------------------------------

SIMPLE = Scenario(
    0,
    "subject",
    Values("str", "int", 2, 1),
    "make(C0)",
    ((call("a.add(K0)"),), (call("a.add(K1)"),)),
    contents=(("C0", "contents(K[0:0], V[0:])"),),
)


def run_pytest(path: Path) -> subprocess.CompletedProcess[str]:
    """In a fresh process that knows nothing of this suite's configuration."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-c",
            "/dev/null",
            "-p",
            "no:cacheprovider",
            str(path),
        ],
        cwd=path.parent,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_a_lost_item_becomes_a_test_that_fails_and_passes_for_the_twin(tmp_path: Path) -> None:
    target = "tests.stress.fragile:LosingSet"
    with Trials(target, 1) as trials:
        trial = trials.measure(SIMPLE, (), {"outcome"}, seconds=30, enough=3)
        assert trial.rate.events == 3 and trial.finding["kind"] == "outcome"
        expected = trials.expectation(SIMPLE)
    case = Case(SIMPLE)
    word = encode(NativeToken(target, "outcome", case))
    written = write_test(
        str(tmp_path), target, "outcome", trial.finding["message"], case, trial.rate, word,
        circumstances(), expected,
    )  # fmt: skip
    text = written.path.read_text(encoding="utf-8")
    assert written.path.name == f"test_repro_{identity_of(target, 'outcome', case)}.py"
    assert word in text and f"Reproduced {trial.rate} samples" in text.replace("\n", " ")
    assert "import stress" not in text and "concurrent_tables.stress" not in text
    assert "(None, None, frozenset({K0, K1}), 2)" in text
    assert "def thread_0(a):" in text and "a.add(K1)" in text
    assert written.rate.failing
    broken = run_pytest(written.path)
    assert broken.returncode == 1 and "no order of the calls gives" in broken.stdout, broken.stdout
    twin = tmp_path / "test_twin.py"
    twin.write_text(
        text.replace("tests.stress.fragile import LosingSet", "tests.stress.containers import LockedSet")
        .replace("LosingSet()", "LockedSet()"),
        encoding="utf-8",
    )  # fmt: skip
    passed = run_pytest(twin)
    assert passed.returncode == 0 and "1 passed" in passed.stdout, passed.stdout + passed.stderr


@pytest.mark.parametrize("name", ["builtins:set", "collections:defaultdict"])
def test_every_name_in_a_written_test_is_bound(name: str, tmp_path: Path) -> None:
    subject = Subject(resolve(name))
    generator = Generator(subject, catalogue_of(subject), Random(4))
    written = 0
    here = circumstances()
    for number in range(15):
        case = Case(generator.draw(number), ("collections", "signals") if number % 5 == 0 else ())
        try:
            expected = expectation(case.scenario, subject)
        except Exception:  # its operands do not go together
            continue
        for kind in ("outcome", "error", "unsound", "crash"):
            try:
                made = write_test(
                    str(tmp_path), name, kind, "wrong", case, Rate(100, 1, 1), "ctn1-x",
                    here, expected, verify=False,
                )  # fmt: skip
            except UsageError as error:
                assert "cannot be written down" in str(error)
                continue
            written += 1
            assert unbound(made.path.read_text(encoding="utf-8")) == set(), made.path
    assert written > 15


def unbound(text: str) -> set[str]:
    """Names that a module reads and nobody binds."""
    tree = ast.parse(text)
    bound = set(dir(builtins)) | {"__file__"}
    read = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return read - bound


def test_a_crowded_case_of_a_broken_class_is_cut_down() -> None:
    with Trials("tests.stress.fragile:LosingSet", 1) as trials:
        result = minimise(crowded(), "outcome", trials, 25.0)
    scenario = result.case.scenario
    assert result.rate.failing, result
    assert len(scenario.threads) == 2 and len(scenario.calls) == 2, scenario.lines()
    assert {c.name for c in scenario.calls} <= {"add", "discard"}


def test_the_end_of_the_process_is_counted_and_written_as_a_test(tmp_path: Path) -> None:
    target = "tests.stress.fragile:Aborting"
    scenario = replace(SIMPLE, threads=((call("a.discard(K0)"),), (call("K1 in a"),)))
    with Trials(target, 1) as trials:
        trial = trials.measure(scenario, (), family_of("abort"), seconds=30, enough=2)
        assert trial.rate.events == trial.rate.failing == 2 and trial.rate.samples >= 2
        assert trial.finding["kind"] == "abort"
        assert any("in discard" in line for line in trial.finding["evidence"]["stacks"])
        expected = trials.expectation(scenario)
    written = write_test(
        str(tmp_path), target, "abort", "the process died", Case(scenario), trial.rate,
        "ctn1-x", circumstances(), expected,
    )  # fmt: skip
    assert written.rate.failing == 1
    done = run_pytest(written.path)
    assert done.returncode == 1 and "status -6" in done.stdout, done.stdout
    assert "in discard" in done.stdout, done.stdout


def test_a_hang_is_counted() -> None:
    scenario = replace(SIMPLE, threads=((call("a.clear()"),), (call("a.add(K1)"),)))
    with Trials("tests.stress.fragile:Hanging", 1, stall_seconds=1.0) as trials:
        trial = trials.measure(scenario, (), {"hang"}, seconds=30, enough=1)
    assert trial.rate.events == 1 and trial.finding["kind"] == "hang"


# -- the command -----------------------------------------------------------------------------------


def test_replay_ends_with_1_when_it_was_seen_and_0_when_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken = NativeToken("tests.stress.fragile:LosingSet", "outcome", Case(SIMPLE), 5)
    assert cli.main(["replay", encode(broken), "--seconds", "30"]) == 1
    text = capsys.readouterr().out
    assert re.search(r"reproduced [1-9]\d* of \d+ samples", text) and "statistical" in text
    sound = replace(broken, target="tests.stress.containers:LockedSet")
    assert cli.main(["replay", encode(sound), "--seconds", "0.3"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"reproduced 0 of [1-9]\d* samples", text) and "does not show" in text


def test_replay_says_what_is_wrong_with_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    word = encode(NativeToken("tests.stress.fragile:Gone", "outcome", Case(SIMPLE)))
    assert cli.main(["replay", word]) == 2
    assert "has no 'Gone'" in capsys.readouterr().err
    assert cli.main(["replay", word[:-1]]) == 2
    assert "copy it again" in capsys.readouterr().err
    assert cli.main(["replay", "nonsense"]) == 2
    assert "ctn1-" in capsys.readouterr().err
    assert cli.main(["replay", word, "--seconds", "0"]) == 2
