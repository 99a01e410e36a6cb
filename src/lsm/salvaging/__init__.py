"""Salvage: what can still be read of a damaged database, from its files alone (docs/salvage.md).

    loss                a stretch of a file that cannot be read, and what may have been in it
    source              the bytes of the files of a directory
    appended            files that were being written to: logs, and the open data files of a hashlog
    table               the data blocks of a table, with or without its index
    state, tree         which tables and logs count; all their rows, the newest of each key
    hashed              the same of a hashlog
    report, rescue      what is told; the two doors: `lsm.salvage`, `lsm.verify`
"""
