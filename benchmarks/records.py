"""The records every benchmark writes: 16-byte keys, values (100 bytes) that compress to about half.

Two sources of the same kind of record:
  random_keys, ValuePool       drawn from a seed, for the comparison (bench.py, scaling.py); values of any size
  nth_key, value_of_key        record i by arithmetic alone, for the large one (large.py): no list is held,
                               and whoever reads a pair back can tell whether it is a right one.

Invariants: all keys of one seed differ; `index_of_key` inverts `nth_key`; a value depends on its key and
version only. A value is 50 random bytes written twice, as db_bench makes them: a compressor halves it, no
better and no worse.
"""

import random
from hashlib import blake2b

KEY_BYTES = 16
VALUE_BYTES = 100
RECORD_BYTES = KEY_BYTES + VALUE_BYTES
POOL_BYTES = 16 << 20  # of different values that a pool holds

_WORD = (1 << 64) - 1
# Any odd number is invertible modulo 2**64; these two are the finalizer of splitmix64.
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_FIRST_INVERSE, _SECOND_INVERSE = pow(_FIRST, -1, 1 << 64), pow(_SECOND, -1, 1 << 64)


def random_keys(count: int, seed: int) -> list[bytes]:
    drawn = _cut(random.Random(seed).randbytes(KEY_BYTES * count))
    assert len(set(drawn)) == count, "two random 16-byte keys were equal: change the seed"
    return drawn


def fresh(keys: list[bytes]) -> list[bytes]:
    """The same keys as new objects, one after the other in memory: what a caller who just made them has."""
    return _cut(b"".join(keys))


def _cut(joined: bytes) -> list[bytes]:
    return [joined[start : start + KEY_BYTES] for start in range(0, len(joined), KEY_BYTES)]


class ValuePool:
    """Values that belong to keys: of each key one of many values, found by the key's last bytes."""

    def __init__(self, length: int, seed: int) -> None:
        draw, half = random.Random(seed).randbytes, (length + 1) // 2
        count = max(64, min(1 << 16, POOL_BYTES // max(length, 1)))
        self.values = [(draw(half) * 2)[:length] for _ in range(count)]

    def of(self, key: bytes) -> bytes:
        return self.values[int.from_bytes(key[-3:], "big") % len(self.values)]

    def of_all(self, keys: list[bytes]) -> list[bytes]:
        return list(map(self.of, keys))


def mix(number: int) -> int:
    """A permutation of the 64-bit integers whose output looks random."""
    number = (number ^ (number >> 30)) * _FIRST & _WORD
    number = (number ^ (number >> 27)) * _SECOND & _WORD
    return number ^ (number >> 31)


def unmix(number: int) -> int:
    """The inverse of mix: unmix(mix(i)) == i."""
    number = (number ^ (number >> 31) ^ (number >> 62)) * _SECOND_INVERSE & _WORD
    number = (number ^ (number >> 27) ^ (number >> 54)) * _FIRST_INVERSE & _WORD
    return number ^ (number >> 30) ^ (number >> 60)


def nth_key(index: int) -> bytes:
    """The key of record `index`. Ascending indices give keys in random order."""
    head = mix(index + 1)  # mix(0) is 0
    return (head << 64 | mix(head)).to_bytes(KEY_BYTES, "big")


def index_of_key(key: bytes) -> int:
    """Which record the key belongs to, or -1 for a key that nth_key never gives."""
    whole = int.from_bytes(key, "big")
    head = whole >> 64
    if len(key) != KEY_BYTES or whole & _WORD != mix(head):
        return -1
    return unmix(head) - 1


def value_of_key(key: bytes, version: bytes = b"") -> bytes:
    return blake2b(key, digest_size=VALUE_BYTES // 2, key=version).digest() * 2
