"""Scenario sampling: small scenarios, run hundreds of thousands of times, every outcome judged.

A *scenario* is drawn at random for a container type: a few operations of two or three threads on
fresh containers that the threads share (values.py, templates.py, catalogue.py, scenario.py).
Nothing in it is written for a particular type: the operations are those that the type answers to.

*Sampling* runs it on many containers, one after the other; before each the threads wait for one
another, and then set off at random distances (weave.py, pool.py). A sample's *outcome* is the
result of every operation and the state of the containers at rest.

*Judging* (outcomes.py, judge.py): the same operations are run on the same type sequentially, in
every order that the threads allow. An outcome of none of these orders was not atomic. What a
type does not promise to be atomic (stress/profiles) is left out of the outcome, and is held to less:
no crash, nothing that was never there, sound containers and reference counts at rest.

It all happens in a child process (child.py) with a journal in shared memory (journal.py), so that
the end of the process is a finding with the operations in flight (supervisor.py).

The idea of admissible outcomes of small tests, sampled in large numbers, is that of litmus tests
(Alglave, Maranget, Sarkar, Sewell: Litmus, TACAS 2011).
"""

from __future__ import annotations
