"""The process that the tour kills: `python -m lsm.cli.tour.writer DIRECTORY FIRST`.

Writes batches numbered from FIRST for ever, and says each number on its standard output once `lsm` has acknowledged
the batch, never before. A batch is ROWS records of one number, so that a reader can tell a whole one from a part.
Ends by itself when nobody reads any more (the tour is gone).
"""
import os
import sys

import lsm

ROWS = 10


def rows(number: int) -> list[tuple[bytes, bytes]]:
    value = b"batch %d " % number * 8
    return [(b"%09d/%02d" % (number, row), value) for row in range(ROWS)]


def write_for_ever(directory: str, number: int) -> None:
    with lsm.open(directory, memtable_bytes=1 << 18) as db:
        while True:
            with db.write_batch() as batch:
                for key, value in rows(number):
                    batch.put(key, value)
            os.write(1, b"%d\n" % number)
            number += 1


if __name__ == "__main__":
    try:
        write_for_ever(sys.argv[1], int(sys.argv[2]))
    except BrokenPipeError:
        sys.exit(0)
