"""All public names that the Python implementation supplies."""

from __future__ import annotations

from . import debug
from . import reclaim_api as reclaim
from .dict import ConcurrentDict
from .exclusive import exclusive
from .frozen_dict import FrozenDict
from .frozen_set import FrozenSet
from .guard import Guard
from .hashtable import HashTable, compare_identity, compare_str, hash_identity, hash_str
from .set import ConcurrentSet
from .sharded import ShardedDict
from .split import SharedKeys, SplitDict

__all__ = [
    "ConcurrentDict",
    "ConcurrentSet",
    "FrozenDict",
    "FrozenSet",
    "Guard",
    "HashTable",
    "ShardedDict",
    "SharedKeys",
    "SplitDict",
    "compare_identity",
    "compare_str",
    "debug",
    "exclusive",
    "hash_identity",
    "hash_str",
    "reclaim",
]
