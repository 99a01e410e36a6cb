"""Arguments: keys and values as callers give them, checked and made bytes. Pure functions."""
from __future__ import annotations

from typing import Any

KEY_BYTES_MAX = 65_535
VALUE_BYTES_MAX = 128 << 20


def as_bytes(given: Any, what: str) -> bytes:
    """`given` as bytes, copied unless it is bytes. Raises TypeError for what has no buffer, `str` above all."""
    if type(given) is bytes:
        return given
    if isinstance(given, str):
        raise TypeError(f"{what} are bytes, not str: encode it, for example {given[:20]!r}.encode()")
    try:
        return memoryview(given).tobytes()
    except TypeError:
        raise TypeError(f"{what} are bytes or have the buffer protocol, not {type(given).__name__}") from None


def as_key(given: Any, limit: int = KEY_BYTES_MAX) -> bytes:
    """A key to write. Raises ValueError when it is over the limit, which names an engine that takes it, if one does."""
    key = as_bytes(given, "keys")
    if len(key) > limit:
        other = f": engine='lsm' takes up to {KEY_BYTES_MAX:,}" if len(key) <= KEY_BYTES_MAX else ""
        raise ValueError(f"a key of {len(key):,} bytes is over the limit of {limit:,} bytes{other}")
    return key


def as_value(given: Any, limit: int = VALUE_BYTES_MAX) -> bytes:
    """A value to write. Raises ValueError when it is over the limit."""
    value = as_bytes(given, "values")
    if len(value) > limit:
        raise ValueError(f"a value of {len(value):,} bytes is over the limit of {limit:,} bytes")
    return value
