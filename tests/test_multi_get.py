"""multi_get answers what as many gets would, from every kind of source at once, and leaves nothing behind on an error."""
import os
import random

import pytest

import lsm

EVERY_ENGINE = True         # tests of `db` run on each: conftest.py

OPTIONS = {
    "as it is": {},
    "no cache": {"block_cache_bytes": 0},
    "little cache": {"block_cache_bytes": 30_000},
    "small blocks": {"block_bytes": 256, "restart_interval": 4},
    "no filter": {"bloom_bits_per_key": 0},
}


def some_key(rng):
    return rng.choice([b"%05d" % rng.randrange(3000), b"users/%d/name" % rng.randrange(300), b"", rng.randbytes(2)])


def fill(db, rng, expected, writes):
    for _ in range(writes):
        key = some_key(rng)
        if rng.random() < 0.2:
            db.delete(key)
            expected.pop(key, None)
        else:
            db.put(key, value := rng.randbytes(rng.choice([0, 5, 100, 5000 if writes < 500 else 50])))
            expected[key] = value


@pytest.mark.parametrize("options", OPTIONS)
def test_agrees_with_get_over_memtables_young_tables_and_levels(tmp_path, options):
    rng, expected = random.Random(9), {}
    with lsm.open(tmp_path / "db", **OPTIONS[options]) as db:
        fill(db, rng, expected, 4000)
        db.compact()
        for _ in range(3):
            fill(db, rng, expected, 400)
            db.flush()
        fill(db, rng, expected, 400)
        with db.snapshot() as then:
            before = dict(expected)
            fill(db, rng, expected, 400)
            for _ in range(60):
                keys = [some_key(rng) for _ in range(rng.choice([0, 1, 2, 63, 64, 65, 200]))]
                assert db.multi_get(keys) == [expected.get(key) for key in keys] == [db.get(key) for key in keys]
                assert then.multi_get(keys, b"none") == [before.get(key, b"none") for key in keys]


def test_versions_of_a_key_that_fill_blocks(tmp_path):
    with lsm.open(tmp_path / "db", block_bytes=256) as db:
        moments = []
        for n in range(200):
            db.put(b"key", b"%d" % n * 10)
            db.put(b"lock", b"%d" % n)
            moments.append(db.snapshot())
        db.compact()
        for n, then in enumerate(moments):
            assert then.multi_get([b"lock", b"key", b"kez", b"key"]) == [b"%d" % n, b"%d" % n * 10, None, b"%d" % n * 10]
            then.close()


def test_any_iterable_and_any_buffer(tmp_path):
    with lsm.open(tmp_path / "db") as db:
        db[b"a"] = b"1"
        assert db.multi_get(key for key in (b"a", b"b")) == [b"1", None]
        assert db.multi_get({b"a": 0}) == [b"1"]
        assert db.multi_get([bytearray(b"a"), memoryview(b"xa")[1:]], b"") == [b"1", b"1"]
        assert db.multi_get([b"x" * 70_000]) == [None]
        with pytest.raises(TypeError, match="keys are bytes"):
            db.multi_get([b"a"] * 70 + ["a"] + [b"a"] * 70)
    with pytest.raises(lsm.ClosedError):
        db.multi_get([b"a"])


def test_damage_is_raised_and_lets_go_of_every_block(tmp_path):
    with lsm.open(tmp_path / "db", compression="none") as db:
        db.update({b"%05d" % n: b"v" * 100 for n in range(5000)})
        db.compact()
        (name,) = [name for name in os.listdir(tmp_path / "db") if name.endswith(".table")]
    with open(tmp_path / "db" / name, "r+b") as file:
        file.seek(100_000)
        file.write(b"\xff" * 10)
    with lsm.open(tmp_path / "db") as db:
        for _ in range(3):
            with pytest.raises(lsm.CorruptionError, match="checksum"):
                db.multi_get([b"%05d" % n for n in range(0, 5000, 40)])
        assert db.multi_get([b"00000", b"04999", b"1"]) == [b"v" * 100, b"v" * 100, None]
