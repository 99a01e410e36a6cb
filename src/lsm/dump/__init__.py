"""Dumps: what is in a database, a table or a log, as plain text, JSON lines or binary; and back.

    >>> import io
    >>> from lsm import dump
    >>> db.put(b"kenya:capital", b"Nairobi")
    >>> file = io.BytesIO()
    >>> dump.write(dump.entries("data"), file, "text")
    1
    >>> file.getvalue().decode()
    'kenya:capital→Nairobi\\n'
    >>> file = io.BytesIO("kenya:capital→†\\n".encode())
    >>> print(dump.load(db, dump.read(file)))
    0 puts and 1 deletes of 13 bytes
    >>> b"kenya:capital" in db
    False

An entry is (key, value), or (key, None): a deletion. The formats, each with its writer and its reader in a file of its
own (text, jsonl, binary), are in docs/format-dump.md; `entries` (sources) reads what there is without taking a lock.
"""
from lsm.dump.formats import FORMATS, read, write
from lsm.dump.loading import Loaded, load
from lsm.dump.sources import entries

__all__ = ["FORMATS", "Loaded", "entries", "load", "read", "write"]
