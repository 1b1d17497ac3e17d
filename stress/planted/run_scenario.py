"""Scenarios on one extension, in a process of their own.

`python -m stress.planted.run_scenario PATH NAME...`: exit status 0 when nothing was found wrong. A
crash or status 1 with a traceback is a detection.
"""

from __future__ import annotations

import faulthandler
import os
import sys

from . import serial


def main() -> None:
    path, *names = sys.argv[1:]
    faulthandler.enable()
    if not os.environ.get("CT_LONG"):
        faulthandler.dump_traceback_later(100)  # a hang: the caller ends it a little later
    serial.load(path)
    from .point_checks import CHECKS
    from .scenarios import SCENARIOS

    for name in names:
        (CHECKS | SCENARIOS)[name]()
        print("ok", name, flush=True)


if __name__ == "__main__":
    main()
