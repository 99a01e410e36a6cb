"""The core in plain Python: the twin of the compiled module `lsm._core`, with the same names and the same files.

It stands under the same tree (lsm/tree/): what flushes, compacts, recovers and opens a database is one and the same
code, which takes its core as a parameter. It is the executable specification of the formats, the copy to learn from,
the fallback where no extension was built, and what the benchmarks measure the compiled core against.

To read it from top to bottom (docs/engine-pylsm.md leads through it):

    coding crc32c key                       numbers, checksums, the order of everything
    record log memtable                     the way of a write
    bloom block lz4 compression             what a table is made of
    table_format table_writer table_open table table_verify sealed cache
    view visible                            the way of a read
    retain table_merge                      flush and compaction
    faults file directory fork              the operating system
    gate group_sync writer store            the database's half
    batch scan cursor snapshot column arrow
"""
from lsm._pycore.batch import WriteBatch
from lsm._pycore.cache import BlockCache
from lsm._pycore.column import Chunk, ChunkIterator, ChunkScan, Column
from lsm._pycore.compression import compressions
from lsm._pycore.crc32c import crc32c, crc32c_mask, crc32c_unmask
from lsm._pycore.cursor import Cursor
from lsm._pycore.directory import Directory
from lsm._pycore.fork import forked
from lsm._pycore.gate import GATE_CLOSED_FLAG, GATE_FORKED_FLAG, GATE_SHUT_FLAG, GATE_SLOW_FLAG
from lsm._pycore.log import LOG_HEADER, LogWriter, check_log, log_highest_watermark, replay_log
from lsm._pycore.memtable import Memtable
from lsm._pycore.scan import Scan
from lsm._pycore.sealed import block_entries, sealed_end, unsealed
from lsm._pycore.snapshot import Snapshot
from lsm._pycore.store import Store
from lsm._pycore.table import Table
from lsm._pycore.table_merge import TableMerge
from lsm._pycore.table_writer import TableWriter
from lsm._pycore.view import View

__all__ = [
    "GATE_CLOSED_FLAG", "GATE_FORKED_FLAG", "GATE_SHUT_FLAG", "GATE_SLOW_FLAG", "LOG_HEADER", "BlockCache", "Chunk",
    "ChunkIterator", "ChunkScan", "Column", "Cursor", "Directory", "LogWriter", "Memtable", "Scan", "Snapshot",
    "Store", "Table", "TableMerge", "TableWriter", "View", "WriteBatch", "block_entries", "check_log", "compressions", "crc32c",
    "crc32c_mask", "crc32c_unmask", "forked", "log_highest_watermark", "replay_log", "sealed_end", "unsealed",
]
