"""Judging histories of concurrent objects: ours, or anybody's.

`judge` says whether some order of the operations explains a history; `outcomes_of` precomputes what
small scenarios may give; `conservation` and `anomalies` are quicker and say less. docs/reference/
histories.md lists models and formats, docs/howto/check-a-history.md shows the use.
"""

from __future__ import annotations

from .anomalies import anomalies
from .conservation import conservation
from .errors import HistoryError, ModelError
from .history import FOREVER, History, Operation, Raised, Status
from .judge import judge, judge_windows
from .models import MODELS, REFUSED, WHOLE, Model, OneOf, model_named
from .native import COMPILED
from .outcomes import Outcomes, ResultRow, outcomes_of
from .readers import FORMATS, read_history, write_history
from .recorder import Recorder
from .verdict import Outcome, Verdict

__all__ = [
    "COMPILED",
    "FOREVER",
    "FORMATS",
    "MODELS",
    "REFUSED",
    "WHOLE",
    "History",
    "HistoryError",
    "Model",
    "ModelError",
    "OneOf",
    "Operation",
    "Outcome",
    "Outcomes",
    "Raised",
    "Recorder",
    "ResultRow",
    "Status",
    "Verdict",
    "anomalies",
    "conservation",
    "judge",
    "judge_windows",
    "model_named",
    "outcomes_of",
    "read_history",
    "write_history",
]
