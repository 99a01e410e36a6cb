"""Options at open: stored with the database, applied again, refused with the right name before anything is written."""

import dataclasses

import lsm
import pytest
from lsm.tree import manifest


def test_options_are_a_frozen_dataclass_with_documented_defaults():
    options = lsm.Options()
    assert (options.memtable_bytes, options.block_cache_bytes, options.block_bytes) == (64 << 20, 64 << 20, 4096)
    assert (options.restart_interval, options.bloom_bits_per_key, options.compaction) == (16, 10, "leveled")
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.block_bytes = 1


def test_options_given_once_hold_at_every_later_open(path):
    with lsm.open(path, block_bytes=1024, bloom_bits_per_key=0, compaction="tiered", compression="none") as db:
        first = db.options
        assert first.block_bytes == 1024 and first.compaction == "tiered"
    for _ in range(2):
        with lsm.open(path) as db:
            assert db.options == first
    with lsm.open(path, read_only=True) as db:
        assert db.options == first


def test_keywords_override_what_is_stored(path):
    with lsm.open(path, block_bytes=1024, restart_interval=4):
        pass
    with lsm.open(path, block_bytes=2048) as db:
        assert (db.options.block_bytes, db.options.restart_interval) == (2048, 4)
    with lsm.open(path, read_only=True, block_cache_bytes=1 << 20) as db:
        assert (db.options.block_cache_bytes, db.options.restart_interval) == (1 << 20, 4)


def test_options_are_given_as_an_object_or_as_keywords_but_not_both(path):
    with pytest.raises(TypeError, match="options="):
        lsm.open(path, options=lsm.Options(block_bytes=1024), restart_interval=8)
    with pytest.raises(TypeError):
        lsm.open(path, options={"block_bytes": 1024})
    assert not path.exists()
    with lsm.open(path, options=lsm.Options(block_bytes=1024, restart_interval=4)) as db:
        assert (db.options.block_bytes, db.options.restart_interval) == (1024, 4)


@pytest.mark.parametrize("wrong, right", [
    ("memtable_byte", "memtable_bytes"), ("memtable_size", "memtable_bytes"), ("bloom_bits", "bloom_bits_per_key"),
    ("compresion", "compression"), ("Compression", "compression"), ("readonly", None),
    ("zzzzzz", None)])
def test_an_unknown_option_is_refused_with_the_nearest_name(path, wrong, right):
    with pytest.raises(lsm.OptionNameError, match=wrong) as raised:
        lsm.open(path, **{wrong: 1})
    assert isinstance(raised.value, TypeError)
    assert right is None or right in str(raised.value)
    assert not path.exists()


@pytest.mark.parametrize("name, wrong", [
    *((name, wrong) for name in ("memtable_bytes", "block_bytes", "restart_interval", "table_bytes", "stop_tables")
      for wrong in (0, -1, "64", 1.5, None, True, 1 << 70)),
    ("block_cache_bytes", -1), ("bloom_bits_per_key", -1), ("bloom_bits_per_key", 10_000), ("slowdown_tables", 1000),
    ("compression", "lzz4"), ("compression", None), ("compression", 4), ("last_level_compression", "gzip"),
    ("compaction", "levelled"), ("compaction", None), ("compaction", 3), ("compaction", object())])
def test_a_wrong_value_is_refused_by_name_before_anything_is_written(path, name, wrong):
    with pytest.raises(lsm.OptionError) as raised:
        lsm.open(path, **{name: wrong})
    assert isinstance(raised.value, ValueError)
    assert name in str(raised.value)
    assert not path.exists()
    if isinstance(wrong, str) and name.startswith("comp"):
        assert {"lzz4": "lz4", "levelled": "leveled"}[wrong] in str(raised.value)


def test_an_unknown_engine_is_refused(path):
    with pytest.raises((lsm.Error, ValueError), match="lsm"):
        lsm.open(path, engine="lsmm")
    assert not path.exists()


def test_a_block_cache_may_be_shared_by_several_databases(path, tmp_path):
    cache = lsm.BlockCache(1 << 20)
    with lsm.open(path, block_cache=cache) as one, lsm.open(tmp_path / "two", block_cache=cache) as two:
        for db, value in ((one, b"1"), (two, b"2")):
            db.write_many((b"%04d" % number, value * 50) for number in range(2000))
            db.flush()
        for _ in range(2):  # the same file numbers, the same offsets, never each other's blocks
            assert set(one.values()) == {b"1" * 50} and set(two.values()) == {b"2" * 50}
            assert one[b"0777"] == b"1" * 50 and two[b"0777"] == b"2" * 50
        assert one.stats().cache_capacity == 1 << 20
    with lsm.open(path, block_cache=cache) as one:  # the cache outlives the databases
        assert one[b"0777"] == b"1" * 50
    for wrong in (-1, "1", None):
        with pytest.raises((TypeError, ValueError)):
            lsm.BlockCache(wrong)
    with pytest.raises(TypeError):
        lsm.open(tmp_path / "three", block_cache=5)
    assert not (tmp_path / "three").exists()


def test_a_compression_this_build_lacks_is_named(path, monkeypatch):
    if lsm.Options().compression == "none":
        pytest.skip("this build has no lz4 to take away")
    with lsm.open(path, compression="lz4") as db:
        db.write_many((b"%04d" % number, b"v" * 100) for number in range(100))
        db.flush()
    monkeypatch.setattr("lsm.options.available_compressions", lambda: frozenset({"none"}))
    for arguments in ({"compression": "lz4"}, {"last_level_compression": "lz4", "compression": "none"}):
        with pytest.raises(lsm.UnsupportedError, match="lz4"):
            lsm.open(path.with_name("new"), **arguments)
    assert not path.with_name("new").exists()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_format_is_a_version_error_and_nothing_is_changed(path, read_only):
    with lsm.open(path) as db:
        db[b"a"] = b"1"
    file = path / manifest.manifest_name(manifest.decode_current((path / "CURRENT").read_bytes(), ""))
    old = file.read_bytes()
    text = old[manifest.HEADER.match(old).end():]
    start = b"%s %d " % (manifest.MAGIC, manifest.FORMAT_VERSION + 1)
    file.write_bytes(start + manifest.checksum(start + text) + b"\n" + text)
    before = sorted(name.name for name in path.iterdir())
    with pytest.raises(lsm.VersionError, match="upgrade") as raised:
        lsm.open(path, read_only=read_only)
    assert str(path) in str(raised.value)
    assert sorted(name.name for name in path.iterdir()) == before
    file.write_bytes(old)
    with lsm.open(path) as db:
        assert db[b"a"] == b"1"


def test_changing_the_policy_or_the_sizes_of_an_existing_database_keeps_its_data(path):
    model = {}
    for number, options in enumerate([{"compaction": "leveled"}, {"compaction": "tiered", "block_bytes": 256},
                                      {"compaction": "leveled", "compression": "none"}, {"bloom_bits_per_key": 0},
                                      {"memtable_bytes": 4 << 10, "table_bytes": 4 << 10}]):
        with lsm.open(path, **options) as db:
            assert dict(db.items()) == model
            rows = {b"%05d" % key: b"%d" % number * 40 for key in range(number * 100, number * 100 + 400)}
            db.write_many(rows)
            model.update(rows)
            db.flush()
            if number % 2:
                db.compact()
    with lsm.open(path, read_only=True) as db:
        assert dict(db.items()) == model and db.verify()
