"""Histories of others with known verdicts: all of them have to be found, by both searches.

They are where `CT_CORPUS` says, or in ../shared/corpus beside the checkout.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stress.check import COMPILED, judge, read_history
from tests.support import ROOT

CORPUS = Path(os.environ.get("CT_CORPUS", ROOT.parent / "shared" / "corpus")) / "porcupine"
pytestmark = pytest.mark.skipif(
    not (CORPUS / "verdicts.txt").exists(),
    reason=f"no corpus of histories in {CORPUS.parent} (CT_CORPUS names its place)",
)
SEARCHES = [False, True] if COMPILED else [False]


def _verdicts() -> dict[str, str]:
    lines = (CORPUS / "verdicts.txt").read_text(encoding="utf-8").splitlines()
    return {f"etcd_{int(number):03}.log": verdict for number, verdict in map(str.split, lines)}


@pytest.mark.parametrize("compiled", SEARCHES)
def test_every_etcd_log(compiled: bool) -> None:
    wanted = _verdicts()
    found = {
        name: str(judge(read_history(CORPUS / name, "etcd"), compiled=compiled).outcome)
        for name in wanted
    }
    assert found == wanted


@pytest.mark.parametrize("compiled", SEARCHES)
@pytest.mark.parametrize("name", ["c01-ok", "c01-bad", "c10-ok", "c10-bad"])
def test_key_value_logs(name: str, compiled: bool) -> None:
    verdict = judge(read_history(CORPUS / f"{name}.txt", "kv"), compiled=compiled)
    assert str(verdict.outcome) == ("ok" if name.endswith("-ok") else "illegal")
    if name.endswith("-bad"):
        assert verdict.blocked is not None
        assert verdict.blocked.method == "get"
