"""`python -m stress` from a checkout, `python -m concurrent_tables.stress` when installed."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
