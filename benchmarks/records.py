"""The records every benchmark writes: 16-byte keys, 100-byte values that compress to about half.

Two sources of the same kind of record:
  random_keys, random_values   lists drawn from a seed, for the small comparison (versus.py)
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

_WORD = (1 << 64) - 1
# Any odd number is invertible modulo 2**64; these two are the finalizer of splitmix64.
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_FIRST_INVERSE, _SECOND_INVERSE = pow(_FIRST, -1, 1 << 64), pow(_SECOND, -1, 1 << 64)


def random_keys(count: int, seed: int) -> list[bytes]:
    draw = random.Random(seed).randbytes
    keys = {draw(KEY_BYTES): None for _ in range(count)}
    assert len(keys) == count, "two random 16-byte keys were equal: change the seed"
    return list(keys)


def random_values(count: int, seed: int) -> list[bytes]:
    draw = random.Random(seed).randbytes
    return [draw(VALUE_BYTES // 2) * 2 for _ in range(count)]


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
