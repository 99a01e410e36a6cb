"""SQLite by the standard library's sqlite3: a table of (key, value) without rowids, its log (WAL) on.

`synchronous=OFF` for ordinary rows is its quickest way that still outlives a killed process, as for the others;
FULL, a sync of the log at each commit, where a workload syncs. Each call is its own transaction; `batch` is
one. The page cache of SQLite has the cache budget; a statement is prepared once (sqlite3 keeps it).

Threads: each has its own connection; `close` closes them all.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from stores.contract import CHUNK_ROWS, Pair, Store

PUT = "REPLACE INTO records VALUES (?, ?)"
GET = "SELECT value FROM records WHERE key = ?"
FROM = "SELECT key, value FROM records WHERE key >= ? ORDER BY key"
UNDER = "SELECT key, value FROM records WHERE key >= ? AND key < ? ORDER BY key"


class Sqlite(Store):
    name, package, install = "sqlite3", "sqlite3", "a Python built with SQLite"
    lacks = frozenset({"flush", "compact"})
    most_writes = 300_000

    @classmethod
    def version(cls) -> str:
        return sqlite3.sqlite_version

    def describe(self) -> str:
        return "no compression; WAL, synchronous=OFF (FULL in fillsync); a transaction for each put, a connection a thread"

    def open(self) -> None:
        self.connections: list[sqlite3.Connection] = []
        self.connect()

    def connect(self) -> None:
        os.makedirs(self.path, exist_ok=True)
        file = os.path.join(self.path, "records.db")
        connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=60)
        self.connections.append(connection)
        self.execute = connection.execute
        self.execute("PRAGMA journal_mode = WAL")
        self.execute(f"PRAGMA synchronous = {'FULL' if self.budget.sync else 'OFF'}")
        self.execute(f"PRAGMA cache_size = -{max(1, self.budget.cache_bytes >> 10)}")
        self.execute("CREATE TABLE IF NOT EXISTS records (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def for_thread(self) -> "Store":
        other = Sqlite.__new__(Sqlite)
        other.path, other.budget, other.connections = self.path, self.budget, self.connections
        other.connect()
        return other

    def close(self) -> None:
        for connection in reversed(self.connections):  # the first one last: it empties the log
            connection.close()
        self.connections.clear()

    def compact(self) -> None:
        self.execute("VACUUM")
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def put(self, key: bytes, value: bytes) -> None:
        self.execute(PUT, (key, value))

    def get(self, key: bytes) -> bytes | None:
        row = self.execute(GET, (key,)).fetchone()
        return row[0] if row else None

    def delete(self, key: bytes) -> None:
        self.execute("DELETE FROM records WHERE key = ?", (key,))

    def put_each(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        execute = self.execute
        for pair in zip(keys, values):
            execute(PUT, pair)

    def get_each(self, keys: Sequence[bytes]) -> None:
        execute = self.execute
        for key in keys:
            execute(GET, (key,)).fetchone()

    def multi_get(self, keys: list[bytes]) -> list[bytes | None]:
        marks = ",".join("?" * len(keys))
        found = dict(self.execute(f"SELECT key, value FROM records WHERE key IN ({marks})", keys))
        return [found.get(key) for key in keys]

    def batch(self, pairs: Iterable[Pair]) -> None:
        self.execute("BEGIN")
        self.connections[0].executemany(PUT, pairs)
        self.execute("COMMIT")

    def scan(self, reverse: bool = False) -> Iterator[Pair]:
        return self.execute(f"SELECT key, value FROM records ORDER BY key {'DESC' if reverse else 'ASC'}")

    def keys(self) -> Iterator[bytes]:
        return (key for (key,) in self.execute("SELECT key FROM records ORDER BY key"))

    def chunks(self) -> Iterator[Sequence]:
        fetch = self.scan().fetchmany
        return iter(lambda: fetch(CHUNK_ROWS), [])

    def seek_each(self, keys: Sequence[bytes], rows: int) -> Pair | None:
        row, execute, statement = None, self.execute, f"{FROM} LIMIT {rows}"
        for key in keys:
            for row in execute(statement, (key,)):
                pass
        return row

    def prefix_each(self, prefixes: Sequence[bytes]) -> int:
        count, execute = 0, self.execute
        for prefix in prefixes:
            with closing(execute(UNDER, (prefix, successor(prefix)))) as rows:
                for key, value in rows:
                    count += 1
        return count


def successor(prefix: bytes) -> bytes:
    """The first key after all keys of a prefix; of a prefix of 0xFF only, one that is longer than any key."""
    cut = prefix.rstrip(b"\xff")
    return cut[:-1] + bytes([cut[-1] + 1]) if cut else b"\xff" * 64
