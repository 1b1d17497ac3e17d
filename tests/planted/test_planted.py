"""Planted bugs: each is put into a copy of the package and must be caught, by a test or by ct-stress.

A suite that has never seen a bug proves little. Every case names the invariant that it breaks, the
text that it replaces (which must occur exactly once, or the case is out of date), and the command
that has to notice: exit status 1 with the bug, and 0 on the untouched copy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import ROOT

PYTEST = ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider")
STRESS = ("-m", "stress", "run", "--plain", "--seed", "1", "--threads", "4")


@dataclass(frozen=True)
class Planted:
    """One bug: where it is, what it replaces, and what must catch it."""

    name: str
    path: str
    old: str
    new: str
    command: tuple[str, ...]


BUGS = [
    Planted(
        "keys: a rebuild forgets the youngest entry",
        "_pure/keys.py",
        "        for ix in range(self.bottom, self.nentries):\n            value = self.values[ix]\n",
        "        for ix in range(self.bottom, self.nentries - 1):\n            value = self.values[ix]\n",
        (*STRESS, "--seconds", "4", "--only", "ConcurrentDict/bursts"),
    ),
    Planted(
        "keys: a miss is not validated against entries that came meanwhile (I6)",
        "_pure/mapping.py",
        "elif block.nentries != seen and block.hash_appended(h, seen):",
        "elif False:",
        (*PYTEST, "tests/threads/test_exclusive.py", "-k", "waiter and ConcurrentDict"),
    ),
    Planted(
        "keys: a deleted entry leaves an EMPTY index slot instead of a DUMMY (I2)",
        "_pure/keys.py",
        "        index[slot] = DUMMY\n        keys[ix] = DEAD",
        "        index[slot] = EMPTY\n        keys[ix] = DEAD",
        (*PYTEST, "tests/differential", "-k", "no_difference and ConcurrentDict"),
    ),
    Planted(
        "set: a removed element leaves an empty slot, so that probes end too early (I2)",
        "_pure/set_keys.py",
        "        keys[slot] = DEAD  # the reference goes to `Pending`",
        "        keys[slot] = NULL  # the reference goes to `Pending`",
        (*PYTEST, "tests/contract/test_sets.py", "-k", "colliding"),
    ),
    Planted(
        "set: the members of a grown block start with a wrong one left out",
        "_pure/set_keys.py",
        "for position in range(self.bottom, self.fill):",
        "for position in range(self.bottom + 1, self.fill):",
        (*STRESS, "--seconds", "4", "--only", "ConcurrentSet/churn", "ConcurrentSet/bursts"),
    ),
    Planted(
        "split: a name that another thread published meanwhile is published again",
        "_pure/split.py",
        "                ix, slot = keys.locate(name, h), keys.empty_slot(h)",
        "                ix, slot = MISS, keys.empty_slot(h)",
        (*PYTEST, "tests/threads/test_records.py", "-k", "published"),
    ),
    Planted(
        "split: a record that becomes combined loses its oldest key",
        "_pure/split.py",
        "return build(self.items(), self.used, unicode=True)",
        "return build(list(self.items())[1:], self.used, unicode=True)",
        (*STRESS, "--seconds", "4", "--only", "SplitDict/split*", "SplitDict/churn"),
    ),
    Planted(
        "reclaim: blocks are freed without a grace period",
        "_pure/reclaim.py",
        "    while limbo and limbo[0].sequence <= oldest:",
        "    while limbo:",
        (*PYTEST, "tests/reclaim/test_domain.py", "-k", "pinned"),
    ),
    Planted(
        "reclaim: a thread pins without publishing what it read",
        "_pure/reclaim.py",
        "            record.sequence = self.sequence\n",
        "            pass\n",
        (*PYTEST, "tests/reclaim/test_domain.py"),
    ),
    Planted(
        "watchers: an overflow names only the last lost version",
        "events.py",
        "(EventKind.LOST, MISSING, last[2], version, version)",
        "(EventKind.LOST, MISSING, version, version, version)",
        (*PYTEST, "tests/watchers/test_subscription.py", "-k", "overflow"),
    ),
    Planted(
        "watchers: overwrites reach no subscription",
        "_pure/keys.py",
        """        values[ix] = value
        table._version = version + 1
        if event is not None and watch is not None:
            watch.version = event[4]
            watch.log.append(event)
""",
        """        values[ix] = value
        table._version = version + 1
        if event is not None and watch is not None:
            watch.version = event[4]
""",
        (*STRESS, "--seconds", "4", "--only", "ConcurrentDict/watch*", "ConcurrentDict/subscri*"),
    ),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package, the harness and the tests."""
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "csrc", ".hypothesis")
    for name in ("concurrent_tables", "stress", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(root: Path, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "COV_"))
    }
    environment |= {
        "PYTHONPATH": str(root),
        "CONCURRENT_TABLES_PURE": "1",
        "CONCURRENT_TABLES_DEBUG": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [sys.executable, *command],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.timeout(320)
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_a_planted_bug_is_caught(copy: Path, bug: Planted) -> None:
    sound = run(copy, bug.command)
    assert sound.returncode == 0, f"without the bug:\n{sound.stdout}\n{sound.stderr}"
    source = copy / "concurrent_tables" / bug.path
    text = source.read_text(encoding="utf-8")
    assert text.count(bug.old) == 1, f"the text to replace occurs {text.count(bug.old)} times"
    source.write_text(text.replace(bug.old, bug.new), encoding="utf-8")
    broken = run(copy, bug.command)
    assert broken.returncode == 1, f"not caught:\n{broken.stdout}\n{broken.stderr}"
    imported = str(copy)  # a child that tested the original would prove nothing
    check = run(copy, ("-c", "import concurrent_tables; print(concurrent_tables.__file__)"))
    assert check.stdout.startswith(imported)
