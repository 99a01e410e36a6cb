"""Reader: what a store and its snapshots read alike, said in terms of `get` and `scan`.

(lsm.contract.reading says the same of engines, above the core.) Threads: any.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lsm._pycore.column import ChunkScan
from lsm._pycore.scan import Scan

MISSING = object()


class Reader:
    get: Callable[..., Any]                     # of the class that is one
    scan: Callable[..., Scan]

    def __getitem__(self, key: Any) -> bytes:
        value = self.get(key, MISSING)
        if value is MISSING:
            raise KeyError(key)
        return value                            # type: ignore[no-any-return]

    def __contains__(self, key: Any) -> bool:
        return self.get(key, MISSING) is not MISSING

    def scan_chunks(self, start: Any = None, stop: Any = None, *, keys: bool = True, values: bool = True,
                    chunk_bytes: int = 1 << 20, **how: Any) -> ChunkScan:
        """Iterate over a range as `scan` does, but many rows at a time: as Chunks of about `chunk_bytes` (1 MiB; at most
        1 GiB), whose `keys` and `values` are columns of bytes in one piece of memory. Raises as `scan`."""
        return ChunkScan(self.scan(start, stop, keys=keys, values=values, **how), keys=keys, values=values,
                         chunk_bytes=chunk_bytes)

    def __iter__(self) -> Scan:
        return self.scan(values=False)

    def __reversed__(self) -> Scan:
        return self.scan(values=False, reverse=True)

    def __len__(self) -> int:
        """The number of keys. It counts them."""
        return sum(1 for _ in self.scan(values=False))

    def __bool__(self) -> bool:
        """Is there any key? Does not count."""
        return any(True for _ in self.scan(values=False, limit=1))
