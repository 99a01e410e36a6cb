"""Cursor: a place in the order of the keys that can be moved both ways (a Reader).

Rows come from a generator, which goes one way only. Going on in its direction takes the next row; to turn round, or to
seek, another generator is begun at that place.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lsm._pycore.key import as_bytes
from lsm._pycore.reader import Reader
from lsm._pycore.visible import Row, after, rows_backward, rows_forward


class Cursor(Reader):
    """A place in the order of the keys that can be moved both ways. Made by `DB.cursor` and `Snapshot.cursor`.

    It sees the database as it was when it was made. Every move answers whether it stands on a row. Off either end it
    stands nowhere, and `next` and `prev` keep it there: `seek`, `first` and `last` bring it back. Moves raise
    CorruptionError, StorageError, ClosedError (it, or its database), BusyError (two threads at once). Until it is
    closed or dropped it keeps the memtables and files it began with.
    """

    _row: Row | None = None
    _rows: Iterator[Row] = iter(())
    _backward = False

    def _forward_from(self, lower: bytes | None) -> bool:
        assert self._view is not None
        self._rows, self._backward = rows_forward(self._view, self._sequence, lower, None), False
        return self._step()

    def _backward_from(self, upper: bytes | None) -> bool:
        assert self._view is not None
        self._rows, self._backward = rows_backward(self._view, self._sequence, None, upper), True
        return self._step()

    def _step(self) -> bool:
        self._row = None                    # what goes wrong leaves it nowhere
        self._row = next(self._rows, None)
        return self._row is not None

    def _move(self, how: Any, *place: bytes | None) -> bool:
        self._enter()
        try:
            return how(*place)              # type: ignore[no-any-return]
        except BaseException:
            self._row = None
            raise
        finally:
            self._busy.release()

    def seek(self, key: Any) -> bool:
        """To the first row whose key is not below `key`; any length of key."""
        self._store._check_readable()
        return self._move(self._forward_from, as_bytes(key))

    def seek_before(self, key: Any) -> bool:
        """To the last row whose key is below `key`."""
        self._store._check_readable()
        return self._move(self._backward_from, as_bytes(key))

    def first(self) -> bool:
        """To the first row of all."""
        return self._move(self._forward_from, None)

    def last(self) -> bool:
        """To the last row of all."""
        return self._move(self._backward_from, None)

    def next(self) -> bool:
        """To the next row. Off the end, and from there, it stays where there is no row."""
        return self._move(self._next)

    def _next(self) -> bool:
        if self._row is None:
            return False
        return self._forward_from(after(self._row[0])) if self._backward else self._step()

    def prev(self) -> bool:
        """To the row before. Off the end, and from there, as `next`."""
        return self._move(self._prev)

    def _prev(self) -> bool:
        if self._row is None:
            return False
        return self._step() if self._backward else self._backward_from(self._row[0])

    def _let_go(self) -> None:
        super()._let_go()
        self._rows, self._row = iter(()), None

    def _look(self) -> Row | None:
        self._enter()
        self._busy.release()
        return self._row

    @property
    def valid(self) -> bool:
        """Does it stand on a row?"""
        return self._look() is not None

    @property
    def key(self) -> bytes | None:
        """The key it stands on, None where there is no row."""
        row = self._look()
        return None if row is None else row[0]

    @property
    def value(self) -> bytes | None:
        """The value it stands on, None where there is no row."""
        row = self._look()
        return None if row is None else row[1]
