"""Builds the core with each planted bug, and shows that its detector finds it.

The sources are compiled once, without optimisation and with yield points; a bug compiles its own file
only and is linked with the other objects. Detectors run in processes of their own. First of all they
all run on the build without a bug, where none may find anything.
"""

from __future__ import annotations

import re
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..children import child_command, child_environment
from .building import SOURCES, BuildError, build_base, build_mutant, compiler
from .patching import HERE, Mutant, PatchError, apply, read_mutant

__all__ = ["PATCHES", "Proof", "missing", "prove", "run_detectors"]

SECONDS = 120.0  # for one process of detectors
_PARTS = 4  # processes for all detectors on the sources without a bug
PATCHES = sorted(HERE.glob("*.patch"))
_GIL = not sysconfig.get_config_var("Py_GIL_DISABLED")
_SCENARIOS = f"{__name__.rpartition('.')[0]}.run_scenario"


@dataclass(frozen=True)
class Proof:
    """What became of one planted bug, or of the sources without any (`name` is empty).

    Parameters:
        name: of the patch. bug: what is wrong, in a sentence. detector: what ran on it.
        verdict: "found", "missed", "clean" (nothing found in sources without a bug), "accused" (the
            contrary), "cannot happen" or "broken" (not applied, not built).
        how: "failure", "crash", or why there is none. seconds: of building and running.
    """

    name: str
    bug: str
    detector: str
    verdict: str
    how: str
    seconds: float


def missing() -> str:
    """What keeps this machine from building the core; empty: nothing."""
    if not SOURCES.is_dir():
        return "the C sources of the core are not here: run this in a checkout"
    if compiler() is None:
        return "there is no C compiler, or the headers of this Python are not installed"
    return ""


def prove(
    found: Callable[[Proof], None],
    workers: int = 2,
    select: Callable[[str], bool] = lambda name: True,
) -> list[Proof]:
    """Build and run everything, or the selected patches; `found` is told each proof as it comes.

    The proof that nothing is found in the sources as they are comes last.
    """
    patches = [patch for patch in PATCHES if select(patch.stem)]
    if not patches:
        return []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ct-planted-") as folder:
        place = Path(folder)
        try:
            base = build_base(place / "base")
        except BuildError as error:
            proof = Proof("", "none", "", "broken", str(error), 0.0)
            found(proof)
            return [proof]
        proofs = []
        with ThreadPoolExecutor(workers) as pool:
            parts = [pool.submit(run_detectors, base, part) for part in _parts(_detectors())]
            for proof in pool.map(lambda patch: _with_bug(patch, base, place), patches):
                proofs.append(proof)
                found(proof)
        proofs.append(_without_bug([part.result() for part in parts], time.monotonic() - began))
        found(proofs[-1])
        return proofs


def _detectors() -> list[str]:
    from .scenarios import PARALLEL, SCENARIOS

    return [name for name in SCENARIOS if not _GIL or name not in PARALLEL]


def _parts(names: list[str]) -> list[list[str]]:
    """For one process each: those that take long stand together in the list."""
    return [part for part in (names[number::_PARTS] for number in range(_PARTS)) if part]


def _without_bug(done: list[subprocess.CompletedProcess[str]], seconds: float) -> Proof:
    """What all detectors came to on the sources without a bug."""
    failed = [each for each in done if each.returncode != 0]
    return Proof(
        "",
        "none: the sources as they are",
        f"all {len(_detectors())} detectors",
        "accused" if failed else "clean",
        _last_line(failed[0].stderr) if failed else "",
        seconds,
    )


def _with_bug(patch: Path, base: Path, place: Path) -> Proof:
    began = time.monotonic()
    mutant = read_mutant(patch)
    detector = mutant.detector(_GIL)
    verdict, how = "broken", ""
    try:
        folder = place / mutant.name
        folder.mkdir()
        extension = build_mutant(apply(mutant, SOURCES), base, folder)
        if detector is None:
            verdict, how = "cannot happen", f"with the GIL {mutant.header['With the GIL']}"
        else:
            verdict, how = _judged(mutant, run_detectors(extension, [detector]))
    except (BuildError, PatchError) as error:
        how = str(error)
    return Proof(
        mutant.name, mutant.header["Bug"], detector or "", verdict, how, time.monotonic() - began
    )


def _judged(mutant: Mutant, done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    """Found only if it shows as its header says: another failure would prove nothing."""
    if done.returncode == 0:
        return "missed", "the detector found nothing"
    how = "crash" if done.returncode < 0 else "failure"
    sound = how == "crash" or re.search("(Assertion|Invariant)Error", done.stderr)
    if (
        how not in mutant.header["Shows as"]
        or not sound
        or "the script does not fit" in done.stderr
    ):
        return "missed", f"{how}, not as expected: {_last_line(done.stderr)}"
    return "found", how


def run_detectors(extension: Path, names: Iterable[str]) -> subprocess.CompletedProcess[str]:
    """Run detectors on an extension, in a process of their own.

    Memory is filled when it is freed, so that late uses show.
    """
    environment = child_environment(PYTHONMALLOC="debug", CONCURRENT_TABLES_DEBUG="1")
    try:
        return subprocess.run(
            child_command(_SCENARIOS, str(extension), *names),
            capture_output=True,
            text=True,
            env=environment,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess([], 1, "", f"no end after {SECONDS:g} s")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else ""
