"""What the tests of table files share: entries in internal order, and a table of them in a directory."""
import random

from lsm import _core

PUT, DELETE = 1, 0
DATABASE = bytes(range(16))


def sort_entries(entries):
    return sorted(entries, key=lambda e: (e[0], -((e[1] << 8) | e[2])))


def some_entries(seed: int, count: int, versions: int = 1, value_bytes: int = 40):
    """`count` entries of random keys with up to `versions` versions each, values half compressible."""
    rng = random.Random(seed)
    found = {}
    while len(found) < count:
        key = b"%06d" % rng.randrange(10 * count) + bytes(rng.choices(b"abc\0", k=rng.randrange(10)))
        for _ in range(rng.randrange(versions) + 1):
            size = rng.randrange(2 * value_bytes + 1)
            value = rng.randbytes(size // 2) + b"-" * (size - size // 2)
            sequence = rng.randrange(1, 1 << 40)
            kind = DELETE if rng.random() < 0.1 else PUT
            found[key, sequence] = (key, sequence, kind, b"" if kind == DELETE else value)
    return sort_entries(list(found.values())[:count])


def write_table(directory, name, entries, **options):
    options.setdefault("database_id", DATABASE)
    writer = _core.TableWriter(directory, name, **options)
    for entry in entries:
        writer.add(*entry)
    return writer.finish()


def open_table(directory, name, cache_bytes=1 << 20, **expected):
    return _core.Table(directory, name, _core.BlockCache(cache_bytes), **expected)
