"""The journal: what each thread is doing, in memory that outlives the process.

A file mapped into the child and its parent. Each thread has a row of 32-bit words of its own (rows
are cache lines apart); a word is written by one thread only. When the child ends without warning,
the parent reads from the rows which operation each thread was in, of which sample.

The word ARRIVED is also how threads wait for each other before a sample, so that the journal costs
one store more per operation than the meeting itself.
"""

from __future__ import annotations

import json
import mmap
import os
import tempfile
from typing import Any

__all__ = ["ARRIVED", "BARRIER", "DOING", "FORGET", "IDLE", "SAMPLE", "STAGE", "Journal"]

ROWS = 8
_ROW_WORDS = 64
_TEXT = 64 * 1024
_HEAD = 4096
_SIZE = _HEAD + _TEXT

# Words of a thread's row.
ARRIVED = 0  # the sample (from 1) that the thread has reached
DOING = 1  # 1 + the index of the call it is in, IDLE between calls
SAMPLE = 2
STAGE = 3  # rises with every part of a batch: made, run, judged
BARRIER = 16  # how many barriers it has reached; in another cache line
IDLE = 0
FORGET = 0xFFFFFFFF  # "do not wait for me any more"
_PROGRESS = ROWS * _ROW_WORDS  # a word of the head: rises with every batch
_SAMPLED = _PROGRESS + 1
_ASIDE = _PROGRESS + 2


class Journal:
    """The mapped file. `path` names an existing one; without it, a new one is made."""

    def __init__(self, path: str | None = None) -> None:
        self.created = path is None
        if path is None:
            handle, path = tempfile.mkstemp(prefix="ct-stress-", suffix=".journal")
            os.ftruncate(handle, _SIZE)
        else:
            handle = os.open(path, os.O_RDWR)
        self.path = path
        try:
            self._map = mmap.mmap(handle, _SIZE)
        finally:
            os.close(handle)
        self.words = memoryview(self._map)[:_HEAD].cast("I")

    def row(self, thread: int) -> memoryview:
        """The words of one thread, as a view of its own: views are not shared between threads."""
        start = thread * _ROW_WORDS
        return memoryview(self._map)[:_HEAD].cast("I")[start : start + _ROW_WORDS]

    def beat(self) -> None:
        """Tell the parent that things go on."""
        self.words[_PROGRESS] = (self.words[_PROGRESS] + 1) & 0x7FFFFFFF

    def beat_aside(self) -> None:
        """The same from a thread beside those that sample: each word has one writer."""
        self.words[_ASIDE] = (self.words[_ASIDE] + 1) & 0x7FFFFFFF

    @property
    def progress(self) -> int:
        return self.words[_PROGRESS]

    def sampled(self, count: int) -> None:
        """So many more samples are over."""
        self.words[_SAMPLED] = (self.words[_SAMPLED] + count) & 0x7FFFFFFF

    @property
    def samples(self) -> int:
        """How many samples are over, of all scenarios."""
        return self.words[_SAMPLED]

    def signs(self) -> bytes:
        """Every word: when none changes for a while, nothing happens any more."""
        return bytes(self._map[:_HEAD])

    def describe(self, facts: dict[str, Any]) -> None:
        """What is about to run, as JSON; read back by `description` after a crash."""
        data = json.dumps(facts, default=repr).encode()[: _TEXT - 8]
        self._map[_HEAD : _HEAD + 4] = (0).to_bytes(4, "little")
        self._map[_HEAD + 4 : _HEAD + 4 + len(data)] = data
        self._map[_HEAD : _HEAD + 4] = len(data).to_bytes(4, "little")

    def description(self) -> dict[str, Any] | None:
        """What was described last; None when there is nothing or it was cut off."""
        size = int.from_bytes(self._map[_HEAD : _HEAD + 4], "little")
        try:
            facts = json.loads(bytes(self._map[_HEAD + 4 : _HEAD + 4 + size]))
        except ValueError:
            return None
        return facts if isinstance(facts, dict) else None

    def in_flight(self) -> list[tuple[int, int, int]]:
        """(thread, sample, call index) of every thread that was inside a call."""
        found = []
        for thread in range(ROWS):
            row = self.row(thread)
            if row[DOING] != IDLE:
                found.append((thread, row[ARRIVED], row[DOING] - 1))
        return found

    def clear(self) -> None:
        for thread in range(ROWS):
            self.row(thread)[DOING] = IDLE

    def remove(self) -> None:
        """Delete the file; the mapping stays until its users end."""
        if self.created and os.path.exists(self.path):
            os.unlink(self.path)
