"""Test builds of the C core: compiled with -DCT_POINTS, once per session, and mutants from its objects.

A mutant changes one file or two: only those are compiled, and linked with the objects of the unmutated
build. No optimisation: what is tested here is an order of steps, not speed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import concurrent_tables

__all__ = ["SOURCES", "BuildError", "build_base", "build_mutant", "compile_file", "compiler"]

SOURCES = Path(concurrent_tables.__file__).resolve().parent / "csrc"
FLAGS = ("-std=c11", "-fPIC", "-fvisibility=hidden", "-pthread")
POINTS = "-DCT_POINTS"


class BuildError(RuntimeError):
    """The compiler or the linker failed; the text is what it said."""


def compiler() -> list[str] | None:
    """The C compiler as a command, or None: no compiler, no headers, or not a POSIX system."""
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    include = sysconfig.get_paths()["include"]
    known = [name for name in (command[0], "cc", "gcc", "clang") if shutil.which(name)]
    if os.name != "posix" or not known or not (Path(include) / "Python.h").exists():
        return None
    return [known[0], *(command[1:] if known[0] == command[0] else ())]


def _run(command: Sequence[str | Path]) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{shlex.join(map(str, command))}\n{done.stdout}{done.stderr}")


def compile_file(source: Path, target: Path, *flags: str) -> None:
    """Compile one C file; the headers are those of the package."""
    command = compiler()
    assert command is not None
    include = sysconfig.get_paths()["include"]
    _run([*command, *FLAGS, *flags, f"-I{include}", f"-I{SOURCES}", "-c", source, "-o", target])


def _link(objects: Sequence[Path], directory: Path) -> Path:
    command = compiler()
    assert command is not None
    target = directory / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
    shared = (
        ["-bundle", "-undefined", "dynamic_lookup"]
        if os.uname().sysname == "Darwin"
        else ["-shared"]
    )
    _run([*command, "-pthread", *shared, *objects, "-o", target])
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time: the workers of a parallel run share the objects."""
    import fcntl

    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build_base(directory: Path) -> Path:
    """The unmutated test build in `directory`, made by whoever comes first; the extension's path."""
    directory.mkdir(exist_ok=True, parents=True)
    with _locked(directory / "lock"):
        if not (directory / "complete").exists():
            sources = sorted(SOURCES.glob("*.c"))
            objects = [directory / f"{source.stem}.o" for source in sources]
            with ThreadPoolExecutor(max_workers=2) as pool:
                list(pool.map(compile_file, sources, objects, [POINTS] * len(sources)))
            (directory / "complete").write_text(str(_link(objects, directory)))
        return Path((directory / "complete").read_text())


def build_mutant(changed: dict[str, str], base: Path, directory: Path) -> Path:
    """An extension of the changed files and otherwise the objects beside the extension `base`."""
    replaced = {}
    for name, text in changed.items():
        source = directory / name
        source.write_text(text)
        replaced[source.stem] = directory / f"{source.stem}.o"
        compile_file(source, replaced[source.stem], POINTS)
    objects = [replaced.get(path.stem, path) for path in sorted(base.parent.glob("*.o"))]
    return _link(objects, directory)
