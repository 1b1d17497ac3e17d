"""Small unified diffs with a header: read, and applied by exact context.

Line numbers are ignored: the lines that a hunk removes or keeps must occur exactly once in the file,
so that a patch survives changes elsewhere in it, and is out of date as soon as its own lines change.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Mutant", "PatchError", "apply", "read_mutant"]

HERE = Path(__file__).resolve().parent
_FIELDS = ("Bug", "Breaks", "Caught by", "Shows as", "With the GIL")


class PatchError(AssertionError):
    """A patch that is malformed, or whose lines are no longer in the sources."""


@dataclass
class Mutant:
    """One planted bug: its header, and the hunks by source file name."""

    name: str
    header: dict[str, str]
    hunks: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def detector(self, gil: bool) -> str | None:
        """The scenario that must fail on it; None where the bug can do no harm."""
        if not gil:
            return self.header["Caught by"]
        word, _, rest = self.header["With the GIL"].partition(" by ")
        return None if not word.startswith("caught") else rest or self.header["Caught by"]


def read_mutant(path: Path) -> Mutant:
    """The patch at `path`; PatchError when its header or its hunks make no sense."""
    text = path.read_text()
    head, _, body = text.partition("--- a/")
    header = dict(re.findall(r"^([A-Z][A-Za-z ]+): (.+(?:\n  .+)*)", head, re.MULTILINE))
    missing = [name for name in _FIELDS if name not in header]
    if missing or not body:
        raise PatchError(f"{path.name}: the header lacks {missing}, or no diff follows")
    mutant = Mutant(path.stem, {name: " ".join(text.split()) for name, text in header.items()})
    for part in body.split("--- a/"):
        _read_file(path.name, part, mutant)
    return mutant


def _read_file(patch: str, part: str, mutant: Mutant) -> None:
    lines = part.splitlines()
    source = Path(lines[0].split("\t")[0]).name
    hunks = mutant.hunks.setdefault(source, [])
    old: list[str] = []
    new: list[str] = []
    for line in [*lines[2:], "@@"]:
        if line.startswith(("@@", "diff ", "index ")):
            if old:
                hunks.append(("\n".join(old) + "\n", "\n".join(new) + "\n"))
            old, new = [], []
        elif line[:1] in (" ", "-", "+", ""):
            if line[:1] != "+":
                old.append(line[1:])
            if line[:1] != "-":
                new.append(line[1:])
        else:
            raise PatchError(f"{patch}: this is no line of a unified diff: {line!r}")


def apply(mutant: Mutant, sources: Path) -> dict[str, str]:
    """The changed text of every file that the mutant touches, by file name."""
    changed = {}
    for name, hunks in mutant.hunks.items():
        text = (sources / name).read_text()
        for old, new in hunks:
            count = text.count("\n" + old)
            if count != 1:
                raise PatchError(
                    f"{mutant.name}: out of date: its lines occur {count} times in {name}; "
                    f"make the patch again (stress/planted/README.md):\n{old}"
                )
            text = text.replace("\n" + old, "\n" + new)
        changed[name] = text
    return changed
