"""Loading: entries into a database, in batches, each of them all or nothing. One thread."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from lsm.contract.arguments import as_key, as_value
from lsm.contract.engine import Engine
from lsm.contract.traits import Traits

BATCH_BYTES = 1 << 20
BATCH_ENTRIES = 10_000

Operation = tuple[bytes, "bytes | None"]


@dataclass(frozen=True)
class Loaded:
    """What has been loaded: puts, deletes, and bytes of their keys and values."""

    puts: int = 0
    deletes: int = 0
    bytes: int = 0

    def __str__(self) -> str:
        return f"{self.puts:,} puts and {self.deletes:,} deletes of {self.bytes:,} bytes"


def load(db: Engine, entries: Iterable[Operation], progress: Callable[[Loaded], object] | None = None) -> Loaded:
    """Write every entry into the database, a value of None as a delete, in batches of about a megabyte, then sync. Of
    several entries of one key the last one counts.

    `progress` is called after each batch with what has been loaded so far. What `entries` raises passes through, after all
    before it was written; so does ValueError, which gives its number, for an entry over the limits of the engine.
    """
    loaded = Loaded()
    for batch, size in _batches(_that_fit(entries, db.traits)):
        db.write(batch)
        deletes = sum(value is None for _, value in batch)
        loaded = Loaded(loaded.puts + len(batch) - deletes, loaded.deletes + deletes, loaded.bytes + size)
        if progress is not None:
            progress(loaded)
    db.sync()
    return loaded


def _that_fit(entries: Iterable[Operation], traits: Traits) -> Iterator[Operation]:
    for number, (key, value) in enumerate(entries, 1):
        try:
            check_fits(key, value, traits)
        except ValueError as error:
            raise ValueError(f"entry {number:,}: {error}") from None
        yield key, value


def check_fits(key: bytes, value: bytes | None, traits: Traits) -> None:
    """Raise ValueError when the engine takes no such key or value."""
    if len(key) > traits.key_bytes_max or value is not None and len(value) > traits.value_bytes_max:
        as_key(key, traits.key_bytes_max)
        as_value(value, traits.value_bytes_max)


def _batches(entries: Iterable[Operation]) -> Iterator[tuple[list[Operation], int]]:
    batch: list[Operation] = []
    size = 0
    try:
        for key, value in entries:
            batch.append((key, value))
            size += len(key) + len(value or b"")
            if size >= BATCH_BYTES or len(batch) == BATCH_ENTRIES:
                yield batch, size
                batch, size = [], 0
    except Exception:
        if batch:
            yield batch, size
        raise
    if batch:
        yield batch, size
