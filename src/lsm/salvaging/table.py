"""Table: the data blocks of one table, and what of it is damaged; with its index, or by the checksums of the blocks alone.

A block is believed when its checksum holds, its entries are what the format says, and they lie where they must: between the
separators of the index, and behind the entries of the block before. Without footer or index, the blocks are found as they lie
one after another from the first byte on, each ending where the checksum of its bytes is stored. Behind damage such a run is
taken up again only if it leads, without a gap, to where the footer is: so what only looks like a block, a table in a value of a
damaged block, is never taken for one.

Survey reads and checks every byte, one table in memory at a time; `entries` reads the good blocks again. One thread.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import NamedTuple

from lsm._pycore.coding import Malformed
from lsm._pycore.table_format import FOOTER_BYTES, Footer, Properties
from lsm._pycore.table_open import index_entries
from lsm.errors import CorruptionError
from lsm.salvaging.loss import Loss
from lsm.salvaging.source import Source
from lsm.tree.version import TableMeta

WINDOW = 1 << 20            # a block that stands behind a gap is found up to this size
EFFORT = 1 << 30            # bytes that may be summed in search of it, of one table; a hundredth in plain Python

Entry = tuple[bytes, int, int, bytes]       # key, sequence, kind, value


class Block(NamedTuple):
    """Where a data block lies, and the first and last key of it."""

    offset: int
    size: int
    first: bytes
    last: bytes
    entries: int


@dataclass
class TableFile:
    """One table as far as it can be read."""

    source: Source
    core: ModuleType
    name: str
    meta: TableMeta | None              # what the manifest says of it
    rank: int = 0
    blocks: list[Block] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    properties: Properties | None = None
    number: int = 0
    size: int = 0                       # bytes of the file

    @property
    def created(self) -> int:
        return self.properties.created if self.properties else 0

    def entries(self) -> Iterator[Entry]:
        """All of the good blocks, in order. Raises CorruptionError when one is not good any more."""
        path = self.source.where(self.name)
        for block in self.blocks:
            sealed = self.source.read(self.name, block.offset, block.size) or b""
            yield from self.core.block_entries(self.core.unsealed(sealed, path, block.offset), path, block.offset)

    # ------------------------------------------------------------ what was lost

    @property
    def _newest(self) -> int | None:
        if self.meta is not None:
            return self.meta.max_sequence
        return self.properties.max_sequence if self.properties else None

    @property
    def _bounds(self) -> tuple[bytes | None, bytes | None]:
        known = self.meta or self.properties
        return (known.smallest, known.largest) if known else (None, None)

    def lose(self, offset: int, size: int, detail: str, low: bytes | None, high: bytes | None) -> None:
        """These entries are gone."""
        self.losses.append(Loss(self.source.where(self.name), offset, size, detail, low, high, self._newest, self.rank))

    def lose_all(self, offset: int, detail: str) -> None:
        self.blocks.clear()
        self.lose(offset, self.size, detail, *self._bounds)

    def note(self, offset: int, size: int, detail: str) -> None:
        """This is damaged, but no entry is lost by it."""
        self.losses.append(Loss(self.source.where(self.name), offset, size, detail, rank=self.rank, entries=False))


def survey(table: TableFile, database_id: bytes | None) -> None:
    """Read all of it: fill in blocks, losses and properties. Raises VersionError, UnsupportedError."""
    data = table.source.read(table.name)
    if data is None:
        table.lose_all(0, "the table is missing, or cannot be read")
        return
    table.size = len(data)
    index = _Survey(table, data).index(database_id)
    wrong = _wrong_identity(table, database_id)
    if wrong:
        table.losses.clear()
        table.lose_all(0, wrong)
    elif index is None:
        _Survey(table, data).without_index()
        wrong = _wrong_identity(table, database_id)         # the properties may have been found now
        if wrong:
            table.losses.clear()
            table.lose_all(0, wrong)
    else:
        _Survey(table, data).by_index(index)
    if table.properties is None and table.meta is not None:
        _only_what_the_manifest_says(table)
    if table.properties and sum(block.entries for block in table.blocks) == table.properties.entries:
        table.losses = [Loss(loss.path, loss.offset, loss.size, loss.detail, rank=loss.rank, entries=False)
                        for loss in table.losses]           # nothing is missing


def _wrong_identity(table: TableFile, database_id: bytes | None) -> str:
    told = table.properties
    if told is None:
        return ""
    if database_id is not None and told.database_id != database_id:
        return "another database's file: its database id differs"
    if table.meta is not None and told.number != table.meta.number:
        return "another table's file: its number is not that of its name"
    return ""


def _only_what_the_manifest_says(table: TableFile) -> None:
    """Whose table it is, it does not tell any more: what the manifest would not have is left out."""
    meta = table.meta
    assert meta is not None
    for block in list(table.blocks):
        sequences = [entry[1] for entry in _entries(table, block)]
        if not (meta.smallest <= block.first and block.last <= meta.largest
                and all(meta.min_sequence <= sequence <= meta.max_sequence for sequence in sequences)):
            table.blocks.remove(block)
            table.lose(block.offset, block.size, "this block is not of the table that the manifest names", *table._bounds)


def _entries(table: TableFile, block: Block) -> list[Entry]:
    return list(TableFile(table.source, table.core, table.name, None, blocks=[block]).entries())


class _Survey:
    """The reading of one table, all of whose bytes are here."""

    def __init__(self, table: TableFile, data: bytes) -> None:
        self.table = table
        self.data = data
        self.path = table.source.where(table.name)
        self.core = table.core
        self.last: tuple[bytes, int] | None = None          # key and sequence of the last entry taken
        self.effort = EFFORT if hasattr(table.core, "SimulatedDirectory") else EFFORT // 100

    def contents(self, offset: int, size: int) -> bytes:
        return self.core.unsealed(self.data[offset:offset + size], self.path, offset)        # type: ignore[no-any-return]

    # ------------------------------------------------------------ footer, properties, index, filter

    def index(self, database_id: bytes | None) -> list[tuple[bytes, int, int]] | None:
        """(separator, offset, size) of each data block, or None when there is no telling; notes what is damaged."""
        table = self.table
        if table.meta is not None and table.meta.size != len(self.data):
            table.note(len(self.data), 0, f"the file has {len(self.data)} bytes, and should have {table.meta.size}")
        where = max(len(self.data) - FOOTER_BYTES, 0)
        try:
            footer = Footer.decode(self.data[where:].ljust(FOOTER_BYTES, b"\0"), len(self.data))
        except Malformed as error:
            table.note(where, len(self.data) - where, f"{error}; its blocks are looked for without it")
            return None
        found = self.part(*footer.properties, "properties")
        if found is not None:
            self.take_properties(found, footer.filter.offset, footer.properties.offset)
        self.part(*footer.filter, "filter")
        found = self.part(*footer.index, "index")
        if found is None:
            return None
        try:
            return index_entries(found, footer.filter.offset)
        except Malformed as error:
            table.note(footer.index.offset, footer.index.size, str(error))
            return None

    def part(self, offset: int, size: int, what: str) -> bytes | None:
        try:
            return self.contents(offset, size)
        except CorruptionError as error:
            self.table.note(offset, size, f"{what}: {error.detail}; without it the table does not open")
            return None

    def take_properties(self, contents: bytes, data_end: int, offset: int) -> None:
        try:
            self.table.properties = Properties.decode(contents, data_end)
        except Malformed as error:
            self.table.note(offset, len(contents), str(error))

    # ------------------------------------------------------------ data blocks

    def by_index(self, index: list[tuple[bytes, int, int]]) -> None:
        before: bytes | None = None                         # the separator before
        for separator, offset, size in index:
            try:
                entries = self.core.block_entries(self.contents(offset, size), self.path, offset)
                wrong = self.misplaced(entries, before, separator)
            except CorruptionError as error:
                wrong = error.detail
            if wrong:
                low = self.table._bounds[0] if before is None else before if before == separator else before + b"\0"
                self.table.lose(offset, size, wrong, low, separator)
            else:
                self.take(offset, size, entries)
            before = separator

    def misplaced(self, entries: list[Entry], before: bytes | None, separator: bytes | None) -> str:
        first, last = entries[0], entries[-1]
        if self.last is not None and (first[0], -first[1]) <= (self.last[0], -self.last[1]):
            return "data block: begins before the one before it ends"
        if before is not None and first[0] < before or separator is not None and last[0] > separator:
            return "data block: not between the separators of the index"
        return ""

    def take(self, offset: int, size: int, entries: list[Entry]) -> None:
        self.last = entries[-1][0], entries[-1][1]
        self.table.blocks.append(Block(offset, size, entries[0][0], entries[-1][0], len(entries)))

    def without_index(self) -> None:
        """The run of sealed blocks from the first byte on; behind a gap the run that leads to the footer."""
        front, gap = self.run(0, len(self.data))
        end = len(self.data) - FOOTER_BYTES
        if gap == end and self.take_tail(front):            # it was the footer alone: the properties are in their place
            self.take_run(front[:-3])
            return
        behind = self.behind(gap, end)
        tail = (front + behind)[-3:] if behind else front[-1:]
        self.take_run(front)
        low = self.table.blocks[-1].last + b"\0" if self.table.blocks else self.table._bounds[0]
        taken = len(self.table.blocks)
        self.take_run(behind)
        self.take_tail(tail)
        high = self.table.blocks[taken].first if len(self.table.blocks) > taken else self.table._bounds[1]
        until = behind[0][0] if behind else len(self.data)
        if low is None or high is None or low <= high:
            self.table.lose(gap, until - gap, "no block can be made out here", low, high)

    def run(self, at: int, stop: int, window: int = 0) -> tuple[list[tuple[int, int]], int]:
        """(offset, size) of the sealed blocks from `at` on, one after another, and where no more is found."""
        found = []
        while at < stop:
            limit = min(stop, at + window) if window else stop
            end = self.core.sealed_end(self.data, at, limit)
            self.effort -= (end or limit) - at
            if end == 0:
                break
            found.append((at, end - at))
            at = end
        return found, at

    def behind(self, gap: int, end: int) -> list[tuple[int, int]]:
        """The blocks behind a gap, if a run of them leads to the footer."""
        for start in range(gap + 1, end - 4):
            if self.effort <= 0:
                break
            if self.data[start] == 0 or self.data[start + 3] == 0:      # a first entry shares nothing, sizes are small
                found, reached = self.run(start, end, WINDOW)
                if found and reached == end:
                    return found
        return []

    def take_run(self, run: list[tuple[int, int]]) -> None:
        """Those of them that are data blocks, which no filter, index or properties look like."""
        for offset, size in run:
            try:
                entries = self.core.block_entries(self.contents(offset, size), self.path, offset)
            except CorruptionError:
                continue
            if not self.misplaced(entries, None, None):
                self.take(offset, size, entries)

    def take_tail(self, tail: list[tuple[int, int]]) -> bool:
        """The properties are the last of a table's blocks: are they the last of these?"""
        for offset, size in tail[-1:]:
            try:
                contents = self.contents(offset, size)
                properties = Properties.decode(contents, int.from_bytes(contents[32:40], "little"))
            except (Malformed, CorruptionError):
                return False
            self.table.properties = self.table.properties or properties
            return True
        return False
