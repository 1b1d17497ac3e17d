"""From a finding to the smallest thing that still shows it: minimise, write down, repeat.

*Minimising* (minimise.py, steps.py): threads, calls, keys, contents and faults are dropped or made
simpler, one step after the other. Threads that meet by chance fail by chance, so a step is judged by
numbers: the candidate is sampled in a child process (trials.py, child.py), and kept unless its rate of
failure is clearly below that of what it was made of (rates.py).

*Writing down* (writer.py): the minimal scenario as a file of its own, `test_repro_<hash>.py`, that needs
pytest and the container, and nothing of this harness.

*Repeating* (token.py, command.py): `ct-stress replay TOKEN`. A token holds the scenario; what repeats is
the work of the threads. How they meet is the machine's, so the answer is "reproduced k of n".

Minimising by dropping parts is delta debugging (A. Zeller and R. Hildebrandt, "Simplifying and isolating
failure-inducing input", IEEE TSE 28, 2002), here greedy and with a statistical test.
"""

from __future__ import annotations
