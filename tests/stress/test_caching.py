"""The cache workloads see a cache whose invalidations forget the loads in flight."""

from __future__ import annotations

from typing import Any

import pytest

from concurrent_tables.cache.storing import Storing
from stress import Options, run_campaign
from stress.targets import default_targets


@pytest.mark.usefixtures("as_active")
def test_a_forgotten_load_is_seen(ct: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Storing, "_ground", lambda self, key: None)
    monkeypatch.setattr(Storing, "_ground_all", lambda self: None)
    (target,) = [target for target in default_targets(ct) if target.name == "ConcurrentDict"]
    options = Options(seed=3, seconds=60.0, only=("cache-invalidate",))
    result = run_campaign([target], options)
    assert result.violations and result.violations[0].check == "stale"
