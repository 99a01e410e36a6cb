"""btree: LMDB, the memory-mapped copy-on-write B+tree of OpenLDAP (Chu 2011), through the package `lmdb`.

options       what it may be told, checked
layout        BTREE, the one file that says which tree counts; names, keys, and switching
gate          many readers, or one who changes what they read in
environment   LMDB's environment of one tree: shared in the process, grown, its errors told
moments       the rows of one moment, over a read transaction
copying       a tree made, or written anew in another place; a checkpoint
compaction    the database gone over to its tree written anew
inspect       stats and verify
database      BTree
"""
from lsm.engines.btree.database import BTree

__all__ = ["BTree"]
