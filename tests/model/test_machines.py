"""Runs the state machines for every type and implementation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model import machines
from tests.support import MUTABLE_MAPPINGS


def run(machine: type, settings: Any = machines.SETTINGS, **attributes: Any) -> None:
    run_state_machine_as_test(type(machine.__name__, (machine,), attributes), settings=settings)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_mapping(ct: Any, name: str) -> None:
    run(machines.MappingMachine, ct=ct, name=name)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_mapping_of_str_keys(ct: Any, name: str) -> None:
    run(machines.StrMappingMachine, ct=ct, name=name)


@pytest.mark.timeout(240)
def test_records(ct: Any) -> None:
    run(machines.RecordsMachine, ct=ct)


@pytest.mark.timeout(240)
def test_set(ct: Any) -> None:
    run(machines.SetMachine, ct=ct)


@pytest.mark.timeout(240)
def test_hash_table(ct: Any) -> None:
    run(machines.HashTableMachine, ct=ct)


def test_the_machine_can_fail(ct: Any) -> None:
    class Forgets(ct.ConcurrentDict):  # type: ignore[misc,name-defined]
        def swap(self, key: Any, value: Any) -> Any:
            super().swap(key, value)
            return ct.MISSING

    class Namespace:
        ConcurrentDict = Forgets
        inspect_table = ct.inspect_table

    first_failure = settings(machines.SETTINGS, phases=[Phase.generate], database=None)
    with pytest.raises(AssertionError):
        run(machines.MappingMachine, first_failure, ct=Namespace, name="ConcurrentDict")
