"""BlockCache: blocks read from tables, kept in memory up to a budget; the one used longest ago goes first.

Blocks are kept decoded. One cache may serve any number of databases and threads of the process; in the child of a fork
it begins empty, since a thread that is not there any more may have been in the middle of changing it.
"""
from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict

from lsm._pycore.block import Block

BLOCK_BYTES = 256           # what a block takes beside its contents,
ENTRY_BYTES = 160           # and each of its entries: three objects, three places in lists
Where = tuple[int, int]     # a number for the table, and the number of the block in it


class BlockCache:
    """BlockCache(bytes): keeps up to that many bytes of table blocks in memory, uncompressed. 0 keeps none.

    Give it to several `lsm.open(..., block_cache=cache)` to let them share one budget; `block_cache_bytes` does not
    count then. Any thread; in the child of a fork it begins empty. Raises TypeError, ValueError.
    """

    def __init__(self, bytes: int) -> None:
        if isinstance(bytes, bool) or not isinstance(bytes, int):
            raise TypeError(f"BlockCache takes a number of bytes, not {type(bytes).__name__}")
        if not 0 <= bytes < 1 << 60:
            raise ValueError(f"BlockCache takes a number of bytes from 0, not {bytes}")
        self._capacity = bytes
        self._hits = self._misses = self._evictions = 0
        self._tables = 0                    # numbers given out
        self._begin_empty()
        _caches.add(self)

    def _begin_empty(self) -> None:
        self._lock = threading.RLock()      # a signal's handler, or a finalizer, may come while it is held, and read
        self._blocks: OrderedDict[Where, Block] = OrderedDict()
        self._used = 0

    def new_table(self) -> int:
        """A number for a table that will keep its blocks here."""
        with self._lock:
            self._tables += 1
            return self._tables

    def get(self, where: Where) -> Block | None:
        """The block, if it is here; then it is the last to go."""
        with self._lock:
            block = self._blocks.get(where)
            if block is None:
                self._misses += 1
            else:
                self._hits += 1
                self._blocks.move_to_end(where)
            return block

    def put(self, where: Where, block: Block, *, only_if_room: bool = False) -> None:
        """Keep a block. A scan keeps its own only where there is room, so that it drives nothing out."""
        cost = _cost(block)
        with self._lock:
            if where in self._blocks or cost > self._capacity - (self._used if only_if_room else 0):
                return
            self._blocks[where] = block
            self._used += cost
            while self._used > self._capacity and self._blocks:
                _, oldest = self._blocks.popitem(last=False)
                cost = _cost(oldest)
                self._used -= cost
                self._evictions += 1

    def drop_table(self, table: int, blocks: int) -> None:
        """Forget the blocks of a table that is being closed."""
        with self._lock:
            for index in range(blocks):
                block = self._blocks.pop((table, index), None)
                if block is not None:
                    cost = _cost(block)
                    self._used -= cost

    @property
    def capacity(self) -> int:
        """The budget in bytes."""
        return self._capacity

    @property
    def used(self) -> int:
        """Bytes taken, with what each block costs beside its contents."""
        return self._used

    @property
    def blocks(self) -> int:
        """Blocks kept."""
        return len(self._blocks)

    @property
    def hits(self) -> int:
        """Reads answered from the cache."""
        return self._hits

    @property
    def misses(self) -> int:
        """Reads that had to go to a file."""
        return self._misses

    @property
    def evictions(self) -> int:
        """Blocks dropped to make room."""
        return self._evictions

    def __repr__(self) -> str:
        return f"BlockCache({self.capacity}: {self.used} bytes in {self.blocks} blocks)"


def _cost(block: Block) -> int:
    return BLOCK_BYTES + block.size + ENTRY_BYTES * len(block)


_caches: weakref.WeakSet[BlockCache] = weakref.WeakSet()


def _begin_empty_in_child() -> None:
    for cache in list(_caches):
        cache._begin_empty()


os.register_at_fork(after_in_child=_begin_empty_in_child)
