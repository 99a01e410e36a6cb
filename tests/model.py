"""The model every random test is held against, and the option sets it is run under.

The model is a plain dict, sorted when it is asked for an order: slow, and too simple to be wrong.
Nothing here imports the engine except to ask which compressions this build has.
"""

import functools
import tempfile

import lsm

TINY = {"memtable_bytes": 16 << 10, "block_bytes": 256, "table_bytes": 16 << 10, "block_cache_bytes": 16 << 10}


@functools.cache
def has_compression(name):
    """Does this build write tables compressed by `name`?"""
    with tempfile.TemporaryDirectory() as directory:
        try:
            lsm.open(directory, compression=name).close()
        except (lsm.UnsupportedError, lsm.OptionError):
            return False
        return True


def option_sets():
    """name -> options: every compression of this build, both merging policies, sizes from default to tiny."""
    sets = {
        "default": {},
        "tiny leveled": {**TINY, "compaction": "leveled"},
        "tiny tiered": {**TINY, "compaction": "tiered"},
        "smallest": {"memtable_bytes": 4 << 10, "block_bytes": 64, "table_bytes": 4 << 10, "block_cache_bytes": 4 << 10},
        "tiny no filter": {**TINY, "bloom_bits_per_key": 0},
        "tiny no cache": {**TINY, "block_cache_bytes": 0},
        "every entry a restart": {**TINY, "restart_interval": 1},
        "one restart a block": {**TINY, "restart_interval": 1000, "block_bytes": 4096},
    }
    for name in ("none", "lz4", "zstd"):
        if has_compression(name):
            sets[f"tiny {name}"] = {**TINY, "compression": name}
    if has_compression("zstd") and has_compression("lz4"):
        sets["lz4 over zstd"] = {**TINY, "compression": "lz4", "last_level_compression": "zstd"}
    return sets


def scanned(model, start=None, stop=None, *, prefix=None, include_start=True, include_stop=False,
            reverse=False, limit=None, keys=True, values=True):
    """What `scan` with these arguments must yield for a store that holds `model`: read as the definition of scan."""
    def wanted(key):
        if prefix is not None and not key.startswith(prefix):
            return False
        if start is not None and (key < start or (key == start and not include_start)):
            return False
        return stop is None or key < stop or (key == stop and include_stop)

    chosen = sorted((key for key in model if wanted(key)), reverse=reverse)[:limit]
    if keys and values:
        return [(key, model[key]) for key in chosen]
    return chosen if keys else [model[key] for key in chosen]


def contents(reader):
    """Everything a database or snapshot holds, read forward; backward must be the mirror image."""
    forward = list(reader.scan())
    backward = list(reader.scan(reverse=True))
    assert backward == forward[::-1], "a backward scan is not the mirror image of the forward scan"
    assert all(left[0] < right[0] for left, right in zip(forward, forward[1:])), "keys not strictly increasing"
    return dict(forward)


ALPHABET = (b"\x00", b"a", b"ab", b"b", b"\xfe", b"\xff")


def random_key(rng):
    """Few enough to meet again, with the awkward ones in: empty, zero bytes, 0xff runs, long shared prefixes."""
    shape = rng.random()
    if shape < 0.3:
        return b"".join(rng.choices(ALPHABET, k=rng.randrange(4)))
    if shape < 0.9:
        return b"user:%04d" % rng.randrange(600)
    return b"p" * rng.choice((8, 20, 200)) + bytes((rng.randrange(256),))


def random_value(rng, number):
    """Never the same twice (the number is in it), short mostly, sometimes many blocks long, half compressible."""
    size = rng.choice((0, 3, 20, 100, 100, 300)) if rng.random() < 0.99 else rng.randrange(2000, 20000)
    return b"%d:" % number + rng.randbytes(size // 2) + b"x" * (size - size // 2)


def random_range(rng):
    """Arguments of a scan: bounds, prefix, direction, limit, each there or not."""
    arguments = {}
    if rng.random() < 0.5:
        arguments["start"] = random_key(rng)
        arguments["include_start"] = rng.random() < 0.5
    if rng.random() < 0.5:
        arguments["stop"] = random_key(rng)
        arguments["include_stop"] = rng.random() < 0.5
    if rng.random() < 0.3:
        arguments["prefix"] = random_key(rng)[: rng.randrange(7)]
    if rng.random() < 0.3:
        arguments["limit"] = rng.randrange(20)
    arguments["reverse"] = rng.random() < 0.5
    shown = rng.random()
    if shown < 0.2:
        arguments["values"] = False
    elif shown < 0.4:
        arguments["keys"] = False
    return arguments
