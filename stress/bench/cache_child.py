"""A figure about a whole process: measured in a fresh one, which prints it."""

from __future__ import annotations

import subprocess
import sys

__all__ = ["NotMeasured", "measure_in_child"]


class NotMeasured(Exception):
    """Why there is no figure, in one line."""


def measure_in_child(module: str, arguments: list[str], limit_seconds: float) -> float:
    """What `python -m module *arguments` prints; NotMeasured where it does not."""
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_seconds)
    except subprocess.TimeoutExpired:
        raise NotMeasured(f"its process had not ended after {limit_seconds:g} s") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise NotMeasured(f"its process ended with status {done.returncode}: {last}")
    return float(done.stdout)
