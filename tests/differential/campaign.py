"""A long differential run: `python -m tests.differential.campaign --ops 1000000`.

Runs that many random operations per type against the builtins and prints one line per type. The
exit status is 0 when no difference was found and 1 otherwise.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from concurrent_tables._select import load
from tests.differential.runner import RUNNERS, Difference

OPERATIONS_PER_SEED = 20_000


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.differential.campaign", description=__doc__)
    parser.add_argument("--ops", type=int, default=1_000_000, help="operations per type")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--only", nargs="*", choices=sorted(RUNNERS), default=sorted(RUNNERS))
    parser.add_argument("--implementation", choices=("python", "c"), default="python")
    options = parser.parse_args(arguments)
    ct = load(options.implementation)
    failures = 0
    for name in options.only:
        started, done, seed = time.perf_counter(), 0, options.seed
        try:
            while done < options.ops:
                runner = RUNNERS[name](ct, name, seed)
                runner.run(min(OPERATIONS_PER_SEED, options.ops - done))
                done += runner.done
                seed += 1
            verdict = "no difference"
        except Difference as difference:
            verdict = f"DIFFERENCE {difference}"
            failures += 1
        seconds = time.perf_counter() - started
        print(f"{name:15} {done:>9,} operations in {seconds:7.1f} s: {verdict}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
