"""The raw layouts that `inspect_table` walks: plain copies of a block's columns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..inspection import Layout
from .critical_section import CriticalSection
from .keys import DEAD, DictKeys
from .split import SplitKeys
from .table import NULL, Table

__all__ = ["block_layout", "frozen_layout", "sharded_layout", "table_layout"]


def block_layout(block: Any) -> Layout:
    """The columns of a block that does not change meanwhile."""
    if isinstance(block, DictKeys):
        return _dict_layout(block)
    if isinstance(block, SplitKeys):
        return _split_layout(block)
    layout: Layout = block.layout(Layout)
    return layout


def _dict_layout(block: DictKeys) -> Layout:
    return Layout(
        kind=block.kind,
        log2_size=block.log2_size,
        index_width=block.index.itemsize,
        index=block.index[:],
        hashes=None if block.hashes is None else block.hashes[:],
        keys=block.keys[:],
        values=block.values[:],
        order=range(block.nentries),
        used=block.used,
        filled=block.nentries,
        capacity=len(block.keys),
        nbytes=block.nbytes,
        null=NULL,
        dead=DEAD,
        live_range=(block.bottom, block.top),
    )


def _split_layout(block: SplitKeys) -> Layout:
    shared = block.shared._keys
    capacity = len(block.values)
    padding = [NULL] * (len(shared.keys) - capacity)
    return Layout(
        kind="split",
        log2_size=shared.log2_size,
        index_width=shared.index.itemsize,
        index=shared.index[:],
        hashes=None,
        keys=shared.keys[:],
        values=block.values[:] + padding,
        order=tuple(block.order()),
        used=block.used,
        filled=block.nentries,
        capacity=capacity,
        nbytes=block.nbytes,
        null=NULL,
        dead=DEAD,
    )


def table_layout(table: Table) -> Layout:
    """The layout of a mutable table at one moment."""
    table._touch()
    while True:
        with CriticalSection(table._mutex):
            block, version = table._block, table._version
            layout = block_layout(block)
            watch = table._watch
            if table._version == version and table._block is block:
                return replace(
                    layout,
                    version=version,
                    keys_version=table._keys_version,
                    at_rest=table._started == version,
                    watchers=0 if watch is None else len(watch),
                    shared=table._shared,
                )


def frozen_layout(table: Any) -> Layout:
    """The layout of a frozen table, which has one moment only."""
    return block_layout(table._block)


def sharded_layout(table: Any) -> Layout:
    """The layouts of all shards, and what they add up to."""
    from .exclusive import exclusive

    with exclusive(table):
        parts = tuple([table_layout(shard) for shard in table._shards])
        watch = table._watch
        return Layout(
            kind="sharded",
            log2_size=len(parts).bit_length() - 1,
            index_width=max(part.index_width for part in parts),
            index=(),
            hashes=None,
            keys=(),
            values=(),
            order=(),
            used=sum(part.used for part in parts),
            filled=sum(part.filled for part in parts),
            capacity=sum(part.capacity for part in parts),
            nbytes=sum(part.nbytes for part in parts),
            null=NULL,
            dead=DEAD,
            version=table.version,
            keys_version=table.keys_version,
            watchers=0 if watch is None else len(watch),
            shared=any(part.shared for part in parts),
            parts=parts,
        )
