"""Engines behind one narrow face, so that one rig tries them all: ours, LevelDB, RocksDB, LMDB and SQLite in both its modes.

Each is opened on real files in a directory, as small as it can be made, so that its logs rotate and its tables merge. `write` is
one atomic batch, durable when it returns. Ours write their logs by calls here (`mapped=False`), so that a recorder sees them.
"""
import importlib.util
import os
import sqlite3

import lsm
from crash_engine import SMALL

GONE = None
TREE = {**SMALL, "memtable_bytes": 16384, "table_bytes": 16384}
HASHED = {"file_bytes": 16384, "block_cache_bytes": 1 << 16, "merge_dead_ratio": 0.4}


class Ours:
    """The tree on the compiled core."""

    def __init__(self, path, paranoid=False):
        from lsm import _core
        self.db = lsm.DB(os.fspath(path), _directory=_core.Directory(os.fspath(path), create=True, mapped=False), **TREE)

    def write(self, changes):
        with self.db.write_batch(sync=True) as batch:
            for key, value in changes.items():
                batch.delete(key) if value is GONE else batch.put(key, value)

    def items(self):
        return dict(self.db.items())

    def get(self, key):
        return self.db.get(key)

    def verify(self):
        report = self.db.verify()
        assert report.ok, report.damage

    def close(self):
        self.db.close()


class OursPlain(Ours):
    def __init__(self, path, paranoid=False):
        self.db = lsm.open(path, engine="pylsm", **TREE)


class OursHashed(Ours):
    def __init__(self, path, paranoid=False):
        from lsm import _core
        from lsm.engines.hashlog.database import HashLog
        self.db = HashLog(os.fspath(path), _directory=_core.Directory(os.fspath(path), create=True, mapped=False), **HASHED)


class LevelDB:
    def __init__(self, path, paranoid=False):
        import plyvel
        how = {"paranoid_checks": True} if paranoid else {}
        self.checked = {"verify_checksums": True} if paranoid else {}
        self.db = plyvel.DB(os.fspath(path), create_if_missing=True, write_buffer_size=16384, max_file_size=16384, **how)

    def write(self, changes):
        with self.db.write_batch(transaction=True, sync=True) as batch:
            for key, value in changes.items():
                batch.delete(key) if value is GONE else batch.put(key, value)

    def items(self):
        return dict(self.db.iterator(**self.checked))

    def get(self, key):
        return self.db.get(key, **self.checked)

    def verify(self):
        pass                        # it has no such call

    def close(self):
        self.db.close()


class RocksDB:
    def __init__(self, path, paranoid=False):
        import rocksdict
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(16384)
        options.set_max_background_jobs(2)
        options.set_level_zero_file_num_compaction_trigger(2)
        self.rocksdict, self.db = rocksdict, rocksdict.Rdict(os.fspath(path), options)

    def write(self, changes):
        batch, how = self.rocksdict.WriteBatch(raw_mode=True), self.rocksdict.WriteOptions()
        how.sync = True
        for key, value in changes.items():
            batch.delete(key) if value is GONE else batch.put(key, value)
        self.db.write(batch, how)

    def items(self):
        return dict(self.db.items())

    def get(self, key):
        return self.db.get(key)

    def verify(self):
        pass

    def close(self):
        self.db.close()


class LMDB:
    def __init__(self, path, paranoid=False):
        import lmdb
        self.env = lmdb.open(os.fspath(path), map_size=16 << 20)

    def write(self, changes):
        with self.env.begin(write=True) as transaction:
            for key, value in changes.items():
                transaction.delete(key) if value is GONE else transaction.put(key, value)

    def items(self):
        with self.env.begin() as transaction:
            return dict(transaction.cursor())

    def get(self, key):
        with self.env.begin() as transaction:
            return transaction.get(key)

    def verify(self):
        pass

    def close(self):
        self.env.close()


class SQLite:
    mode = "wal"

    def __init__(self, path, paranoid=False):
        os.makedirs(path, exist_ok=True)
        self.paranoid = paranoid
        self.db = sqlite3.connect(os.path.join(path, "rows.sqlite"), isolation_level=None)
        self.db.execute(f"pragma journal_mode={self.mode}")
        self.db.execute("pragma synchronous=full")
        self.db.execute("pragma wal_autocheckpoint=20")
        self.db.execute("create table if not exists rows (key blob primary key, value blob) without rowid")

    def write(self, changes):
        self.db.execute("begin immediate")
        try:
            for key, value in changes.items():
                if value is GONE:
                    self.db.execute("delete from rows where key = ?", (key,))
                else:
                    self.db.execute("insert or replace into rows values (?, ?)", (key, value))
            self.db.execute("commit")
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("rollback")
            raise

    def items(self):
        return dict(self.db.execute("select key, value from rows"))

    def get(self, key):
        found = self.db.execute("select value from rows where key = ?", (key,)).fetchone()
        return found and found[0]

    def verify(self):
        answer, = self.db.execute("pragma integrity_check").fetchone()
        assert answer == "ok", answer

    def close(self):
        self.db.close()


class SQLiteRollback(SQLite):
    mode = "delete"


PEERS = {"lsm": Ours, "pylsm": OursPlain, "hashlog": OursHashed, "leveldb": LevelDB, "rocksdb": RocksDB, "lmdb": LMDB,
         "sqlite-wal": SQLite, "sqlite-delete": SQLiteRollback}
OURS = ("lsm", "pylsm", "hashlog")
NEEDS = {"leveldb": "plyvel", "rocksdb": "rocksdict", "lmdb": "lmdb"}
for _module in NEEDS.values():                  # once, in the process that forks those who use it
    if importlib.util.find_spec(_module):
        importlib.import_module(_module)


def missing(name):
    """What has to be installed for it, or ''."""
    return "" if importlib.util.find_spec(NEEDS.get(name, "lsm")) else NEEDS[name]
