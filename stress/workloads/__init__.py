"""All workloads; importing this package registers them, in the order in which they run."""

from __future__ import annotations

from . import ycsb as ycsb  # isort: skip
from . import churn as churn  # isort: skip
from . import atomic as atomic  # isort: skip
from . import popping as popping  # isort: skip
from . import iteration as iteration  # isort: skip
from . import groups as groups  # isort: skip
from . import sets as sets  # isort: skip
from . import split as split  # isort: skip
from . import crossing as crossing  # isort: skip
from . import watching as watching  # isort: skip
from . import reclamation as reclamation  # isort: skip
from . import tables as tables  # isort: skip
from . import caching as caching  # isort: skip
from . import caching_flights as caching_flights  # isort: skip
from . import caching_time as caching_time  # isort: skip
from . import caching_events as caching_events  # isort: skip
from . import histories as histories  # isort: skip
from . import scenarios as scenarios  # isort: skip
from .base import WORKLOADS, Round, applicable

__all__ = ["WORKLOADS", "Round", "applicable"]
