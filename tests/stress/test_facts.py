"""Scenarios as JSON values: nothing is lost, and what is strange is refused by name."""

from __future__ import annotations

import json
from collections import OrderedDict
from random import Random
from typing import Any

import pytest

from stress.sampling.catalogue import catalogue_of
from stress.sampling.facts import facts_of, scenario_from
from stress.sampling.generator import Generator
from stress.sampling.subject import Subject
from stress.targets import target_of


@pytest.mark.parametrize("cls", [OrderedDict, set])
def test_scenarios_survive_the_way_through_json(cls: type) -> None:
    subject = Subject(target_of(cls))
    generator = Generator(subject, catalogue_of(subject), Random(2))
    for number in range(60):
        drawn = generator.draw(number)
        assert scenario_from(json.loads(json.dumps(facts_of(drawn)))) == drawn


def _facts() -> dict[str, Any]:
    subject = Subject(target_of(set))
    return facts_of(Generator(subject, catalogue_of(subject), Random(2)).draw(0))


def test_facts_of_another_harness_are_refused() -> None:
    with pytest.raises(ValueError, match="knows no flavour of a scenario"):
        scenario_from({**_facts(), "flavour": 1})
    facts = _facts()
    del facts["a"]
    with pytest.raises(ValueError, match="a scenario lacks a"):
        scenario_from(facts)
    facts = _facts()
    facts["threads"][0][0]["effect"] = "MAGIC"
    with pytest.raises(ValueError, match="MAGIC"):
        scenario_from(facts)
