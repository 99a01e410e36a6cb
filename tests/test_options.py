"""Options: ranges, names, storage."""

from __future__ import annotations

import dataclasses
import doctest
import json
from typing import Any

import pytest

import lsm.options
from lsm.errors import OptionError, OptionNameError, UnsupportedError
from lsm.options import RANGES, Options, StoredPolicy


class Custom:
    def choose(self, version: object, options: object) -> None: ...


def test_defaults_are_those_of_the_contract() -> None:
    options = Options(compression="none")
    assert (options.memtable_bytes, options.block_cache_bytes, options.table_bytes) == (64 << 20,) * 3
    assert (options.block_bytes, options.restart_interval, options.bloom_bits_per_key) == (4096, 16, 10)
    assert (options.compaction, options.slowdown_tables, options.stop_tables) == ("leveled", 12, 24)
    assert options.last_level_compression is None


@pytest.mark.parametrize("name", RANGES)
def test_ranges_are_inclusive_and_named(name: str) -> None:
    least, most, unit = RANGES[name]
    around = {"slowdown_tables": {"stop_tables": 20_000}, "stop_tables": {"slowdown_tables": 2}}.get(name, {})
    for value in (least, most):
        assert getattr(Options(**{**around, name: value}), name) == value  # type: ignore[arg-type]
    for wrong in (least - 1, most + 1, -1, True, None, "4096", 4096.0, b"1"):
        with pytest.raises(OptionError) as caught:
            Options(**{**around, name: wrong})  # type: ignore[arg-type]
        assert (caught.value.option, caught.value.value) == (name, wrong)
        assert f"{least} to {most} {unit}" in str(caught.value)


@pytest.mark.parametrize(
    ("keywords", "word"),
    [
        ({"compression": "snappy"}, "'lz4'"),
        ({"compression": None}, "'lz4'"),
        ({"compression": ["lz4"]}, "'lz4'"),
        ({"last_level_compression": "gzip"}, "None or one of"),
        ({"compaction": "level"}, "'leveled'"),
        ({"compaction": None}, "choose"),
        ({"compaction": object()}, "choose"),
        ({"compaction": Custom}, "choose"),
        ({"slowdown_tables": 24}, "more than slowdown_tables=24"),
    ],
)
def test_wrong_values(keywords: dict[str, Any], word: str) -> None:
    with pytest.raises(OptionError) as caught:
        Options.from_keywords(None, **keywords)
    assert word in str(caught.value)


def test_wrong_names_get_the_nearest_right_one() -> None:
    for wrong, right in (
        ("memtable_byte", "memtable_bytes"),
        ("cache_bytes", "block_cache_bytes"),
        ("compresion", "compression"),
        ("compaction_style", "compaction"),
        ("xyzzy", None),
    ):
        with pytest.raises(OptionNameError) as caught:
            Options.from_keywords(None, **{wrong: 1})
        assert (caught.value.name, caught.value.nearest) == (wrong, right)


def test_keywords_override_what_is_stored_and_nothing_else() -> None:
    stored = Options(block_bytes=512, compression="none")
    options = Options.from_keywords(stored, memtable_bytes=1 << 20)
    assert options == dataclasses.replace(stored, memtable_bytes=1 << 20)
    assert stored.memtable_bytes == 64 << 20


def test_a_compression_this_build_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lsm.options, "available_compressions", lambda: frozenset({"none"}))
    assert Options().compression == "none"
    assert Options(compression="zstd").compression == "zstd"
    with pytest.raises(UnsupportedError, match="compression='zstd'.*this one has none"):
        Options.from_keywords(None, compression="zstd")
    with pytest.raises(UnsupportedError, match="last_level_compression='lz4'"):
        Options.from_keywords(Options(last_level_compression="lz4"))
    monkeypatch.setattr(lsm.options, "available_compressions", lambda: frozenset({"none", "lz4"}))
    assert Options().compression == "lz4"


def test_storage_keeps_everything() -> None:
    for options in (
        Options(),
        Options(compaction="fifo", bloom_bits_per_key=0, last_level_compression="zstd"),
    ):
        assert Options.from_json(json.loads(json.dumps(options.to_json()))) == options


def test_a_custom_policy_is_stored_by_its_class() -> None:
    plain = Options(compaction=Custom()).to_json()
    assert plain["compaction"] == {"name": f"{__name__}.Custom", "parameters": {}}
    again = Options.from_json(plain)
    assert again.compaction == StoredPolicy(f"{__name__}.Custom")
    assert again.to_json() == plain


@pytest.mark.parametrize(
    "change",
    [
        {"block_bytes": "4096"},
        {"block_bytes": 1},
        {"more": 1},
        {"compaction": 3},
        {"compaction": {"name": "x"}},
        {"compaction": {"name": 1, "parameters": {}}},
        {"compaction": {"name": "x", "parameters": {"a": []}}},
        {"compaction": {"name": "x", "parameters": []}},
        {"compaction": ["leveled"]},
    ],
)
def test_stored_options_are_checked(change: dict[str, Any]) -> None:
    with pytest.raises((OptionError, OptionNameError)):
        Options.from_json({**Options().to_json(), **change})


def test_stored_options_must_be_complete() -> None:
    for name in Options().to_json():
        with pytest.raises(OptionError, match=name):
            Options.from_json({k: v for k, v in Options().to_json().items() if k != name})


def test_docstrings() -> None:
    result = doctest.testmod(lsm.options, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert result.attempted >= 3 and result.failed == 0
