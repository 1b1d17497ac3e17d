"""How often a key was asked for lately: a count-min sketch of 4-bit counters.

A key has one counter in each of four rows. Its frequency is the least of them, since other keys can
only have raised the others (Cormode and Muthukrishnan, "An Improved Data Stream Summary: The Count-Min
Sketch and its Applications", 2005); a count raises only those that are the least (Estan and Varghese,
"New Directions in Traffic Measurement and Accounting", 2002). From time to time all counters are halved,
so that what was popular once is forgotten (Einziger, Friedman and Manes, "TinyLFU: A Highly Efficient
Cache Admission Policy", 2017).

Two counters share a byte. The sketch grows with the number of keys: a row that is doubled repeats
itself, so that no frequency is lost by it.
"""

from __future__ import annotations

__all__ = ["MOST", "Sketch", "spread"]

MOST = 15  # what a counter can hold
ROWS = 4
COUNTERS_PER_KEY = 4  # in a row; eight bytes for each key in all
SMALLEST = 1024  # keys

_WORD = (1 << 64) - 1
_HALVED = bytes([(byte >> 1) & 0x77 for byte in range(256)])


def spread(value: int, seed: int) -> int:
    """64 well mixed bits of a hash (constants of the finalizer of MurmurHash3, by Austin Appleby)."""
    value = (value ^ seed) & _WORD
    value = ((value ^ (value >> 33)) * 0xFF51AFD7ED558CCD) & _WORD
    value = ((value ^ (value >> 33)) * 0xC4CEB9FE1A85EC53) & _WORD
    return value ^ (value >> 33)


class Sketch:
    """Frequencies of keys, by their mixed hashes (see `spread`).

    `counted` is the number of counts since the last halving, of which half still show.
    """

    __slots__ = ("_mask", "_rows", "counted", "keys")

    def __init__(self) -> None:
        self.counted = 0
        self.keys = SMALLEST
        self._mask = SMALLEST * COUNTERS_PER_KEY - 1
        self._rows = [bytearray(SMALLEST * COUNTERS_PER_KEY // 2) for _ in range(ROWS)]

    def make_room(self, keys: int) -> None:
        """Tell at least so many keys apart from now on."""
        while self.keys < keys:
            self.keys *= 2
            self._mask = self._mask * 2 + 1
            self._rows = [row + row for row in self._rows]

    def frequency(self, mixed: int) -> int:
        """How often the key was counted lately: 0 to 15."""
        place, step = mixed & 0xFFFFFFFF, (mixed >> 32) | 1
        mask, least = self._mask, MOST
        for row in self._rows:
            at = place & mask
            counter = (row[at >> 1] >> ((at & 1) * 4)) & MOST
            if counter < least:
                least = counter
            place += step
        return least

    def count(self, mixed: int) -> None:
        """The key was asked for."""
        least = self.frequency(mixed)
        if least == MOST:
            return
        self.counted += 1
        place, step = mixed & 0xFFFFFFFF, (mixed >> 32) | 1
        for row in self._rows:
            at = place & self._mask
            shift = (at & 1) * 4
            if (row[at >> 1] >> shift) & MOST == least:
                row[at >> 1] += 1 << shift
            place += step

    def halve(self) -> None:
        """Forget half of every frequency."""
        self._rows = [bytearray(row.translate(_HALVED)) for row in self._rows]
        self.counted //= 2
