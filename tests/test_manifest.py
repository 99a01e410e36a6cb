"""The manifest and CURRENT: round trips, bytes of the document, golden file, every damage, every
interruption."""

from __future__ import annotations

import json
import pathlib
import random
import re
from dataclasses import replace
from typing import Any

import crc32c_reference
import pytest
from memory_directory import MemoryDirectory
from versions import random_version, table, version

from lsm import _core  # type: ignore[attr-defined, unused-ignore]
from lsm.errors import CorruptionError, StorageError, VersionError
from lsm.options import Options
from lsm.tree.manifest import (
    State,
    checksum,
    decode,
    decode_current,
    encode,
    encode_current,
    load,
    manifest_name,
    manifest_number,
    prepare,
    switch,
)
from lsm.tree.version import Version

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE / "data" / "v1" / "MANIFEST-000007"
PATH = "/data/MANIFEST-000007"

SMALL = State(
    database_id=bytes(range(16)),
    number=7,
    next_file=8,
    last_sequence=299,
    logs=(3, 6),
    options=Options(compression="none"),
    version=version([table(2, "b", "c")], [table(1, b"", b"\xff")], count=3),
)


def signed(body: Any, start: bytes = b"lsm-manifest 1 ") -> bytes:
    """A manifest with any body and a right checksum."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode() + b"\n"
    return start + checksum(start + text) + b"\n" + text


def body_of(state: State) -> Any:
    return json.loads(encode(state).split(b"\n", 1)[1])


def test_the_reference_checksum() -> None:
    for crc32c in (crc32c_reference.crc32c, _core.crc32c):
        assert crc32c(b"123456789") == 0xE3069283 and crc32c(b"") == 0
        assert crc32c(b"56789", crc32c(b"1234")) == 0xE3069283


def test_round_trip() -> None:
    for seed in range(40):
        v = random_version(random.Random(seed))
        state = State(bytes(16), 900, 1000, 2_000_000, version=v, options=Options(compaction="tiered"))
        data = encode(state)
        assert decode(data, PATH) == state and encode(decode(data, PATH)) == data, f"seed {seed}"
    fresh = State(bytes(16))
    assert decode(encode(fresh), PATH) == fresh


def test_names() -> None:
    assert manifest_name(7) == "MANIFEST-000007" and manifest_name(12345678) == "MANIFEST-12345678"
    for name in ("MANIFEST-7", "MANIFEST-0000007", "MANIFEST-000007.tmp", "MANIFEST-00000x", "CURRENT", ""):
        assert manifest_number(name) is None
    assert manifest_number("MANIFEST-000007") == 7 and manifest_number("MANIFEST-12345678") == 12345678


def test_golden_file_opens_for_ever() -> None:
    assert decode(GOLDEN.read_bytes(), str(GOLDEN)) == SMALL
    assert decode_current((GOLDEN.parent / "CURRENT").read_bytes(), "CURRENT") == 7


def test_the_documents_example_is_the_golden_file() -> None:
    page = (HERE.parent / "docs" / "format-manifest.md").read_text()
    blocks = re.findall(r"```text\n(.*?)```", page, re.S)
    assert blocks[0].encode() == GOLDEN.read_bytes() == encode(SMALL)
    assert blocks[1].encode() == (GOLDEN.parent / "CURRENT").read_bytes() == encode_current(7)


def test_every_bit_flip_and_truncation_of_a_manifest_is_noticed() -> None:
    data = encode(SMALL)
    for at in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[at] ^= 1 << bit
            with pytest.raises(CorruptionError) as caught:
                decode(bytes(flipped), PATH)
            assert caught.value.path == PATH and 0 <= caught.value.offset < len(data)
        with pytest.raises(CorruptionError, match="MANIFEST-000007"):
            decode(data[:at], PATH)
    for longer in (data + b"\0", data + b"\n", data + data):
        with pytest.raises(CorruptionError):
            decode(longer, PATH)


def test_every_bit_flip_and_truncation_of_current_is_noticed() -> None:
    data = encode_current(7)
    assert decode_current(data, "CURRENT") == 7
    damaged = [data[:at] for at in range(len(data))] + [data + b"\n", b"\xff" * 30]
    damaged += [
        bytes(b ^ (1 << bit if i == at else 0) for i, b in enumerate(data))
        for at in range(len(data))
        for bit in range(8)
    ]
    for wrong in damaged:
        with pytest.raises(CorruptionError, match="/data/CURRENT"):
            decode_current(wrong, "/data/CURRENT")


def test_a_newer_version_is_refused_by_name() -> None:
    for start in (b"lsm-manifest 2 ", b"lsm-manifest 999999999 "):
        with pytest.raises(VersionError, match="upgrade") as caught:
            decode(signed({"anything": 1}, start), PATH)
        assert caught.value.path == PATH
    for start in (b"lsm-manifest 0 ", b"lsm-manifest 01 ", b"lsm-manifest 9999999999 ", b"lsm-manifest -1 "):
        with pytest.raises(CorruptionError):
            decode(signed({"anything": 1}, start), PATH)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b"{\n",
        b"\xff\n",
        b"[" * 200_000,
        b'{"a":1,"a":2}\n',
        b"1" * 5000,
        b"NaN",
    ],
)
def test_bodies_that_are_no_manifest(text: bytes) -> None:
    with pytest.raises(CorruptionError, match="MANIFEST-000007"):
        decode(signed(text), PATH)


@pytest.mark.parametrize(
    "wrong", [None, -1, 1 << 64, 1.5, "x", [], {}, True, "zz", "\ud800", [[]], [1], {"a": 1}]
)
def test_every_value_is_checked_for_type_and_range(wrong: Any) -> None:
    """Puts a wrong value in each place, with a right checksum; what is accepted must read back as the same
    bytes."""
    body = body_of(SMALL)
    places: list[tuple[Any, Any]] = [(body, name) for name in body]
    places += [(body["options"], name) for name in body["options"]]
    places += [(body["levels"], 0), (body["levels"][0], 0)]
    places += [(body["levels"][0][0], name) for name in body["levels"][0][0]]
    accepted = 0
    for holder, name in places:
        right, holder[name] = holder[name], wrong
        try:
            state = decode(signed(body), PATH)
        except CorruptionError as error:
            assert error.path == PATH and str(error)
        else:
            assert body_of(state) == body, (name, wrong)
            accepted += 1
        holder[name] = right
    assert accepted <= 2, (
        "clean=True, last_level_compression=None, level 0 = [] are the only ones that may pass"
    )


def test_a_name_that_occurs_twice_is_damage_whichever_is_right() -> None:
    text = encode(SMALL).split(b"\n", 1)[1]
    with pytest.raises(CorruptionError, match="twice"):
        decode(signed(text.replace(b'{"database_id":', b'{"database_id":"","database_id":')), PATH)


@pytest.mark.parametrize("path", [[], ["options"], ["levels", 0, 0]], ids=str)
def test_names_must_be_exactly_those_of_the_version(path: list[Any]) -> None:
    for more in (True, False):
        body = body_of(SMALL)
        place = body
        for step in path:
            place = place[step]
        if more:
            place["more"] = 1
        else:
            place.popitem()
        with pytest.raises(CorruptionError):
            decode(signed(body), PATH)


@pytest.mark.parametrize(
    "change",
    [
        {"next_file": 7},
        {"logs": (8,)},
        {"last_sequence": 298},
        {"logs": (6, 3)},
        {"last_sequence": 1 << 56},
        {"database_id": b"short"},
        {"logs": (0,)},
        {"version": Version(((),) * 65)},
        {"version": Version(())},
        {"version": Version(((), (table(1, "a", "c"), table(2, "b", "d"))))},
        {"number": 8},
    ],
)
def test_a_state_that_does_not_fit_together_is_never_written(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        encode(replace(SMALL, **change))


OLD = replace(SMALL, number=6, logs=(3,))


def install(directory: MemoryDirectory, state: State) -> None:
    prepare(directory, state)
    switch(directory, state)


def test_a_switch_takes_its_steps_in_order() -> None:
    directory = MemoryDirectory({"CURRENT.tmp": b"junk"})
    assert load(directory) is None
    install(directory, OLD)
    assert load(directory) == OLD
    directory.steps.clear()
    prepare(directory, SMALL)
    assert directory.steps == ["create MANIFEST-000007", "sync", "create CURRENT.tmp"]
    assert load(directory) == OLD
    directory.steps.clear()
    switch(directory, SMALL)
    assert directory.steps == ["rename CURRENT.tmp CURRENT", "sync"]
    assert load(directory) == SMALL
    assert directory.list() == ["CURRENT", "MANIFEST-000006", "MANIFEST-000007"]


@pytest.mark.parametrize("fail_at", range(6))
def test_a_switch_cut_short_leaves_the_old_or_the_new(fail_at: int) -> None:
    start = MemoryDirectory()
    install(start, OLD)
    directory = MemoryDirectory(start.files, fail_at)
    try:
        install(directory, SMALL)
    except StorageError:
        assert fail_at < 5
    else:
        assert fail_at >= 5
    again = MemoryDirectory(directory.files)
    assert load(again) == (SMALL if fail_at >= 4 else OLD)
    following = replace(SMALL, number=8, next_file=9)
    install(again, following)
    assert load(again) == following


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"000003.log": b""}, "missing although"),
        ({"000003.table": b"", "MANIFEST-000002": b""}, "missing although"),
        ({"CURRENT": encode_current(7)}, "MANIFEST-000007, which is missing"),
        ({"CURRENT": encode_current(8), "MANIFEST-000008": encode(SMALL)}, "manifest 7 under another name"),
        ({"CURRENT": encode_current(7), "MANIFEST-000007": b""}, "header line"),
        ({"CURRENT": b""}, "/data/CURRENT"),
    ],
)
def test_what_load_refuses(files: dict[str, bytes], word: str) -> None:
    with pytest.raises(CorruptionError, match=word) as caught:
        load(MemoryDirectory(files))
    assert caught.value.path.startswith("/data/")


def test_an_interrupted_creation_is_no_database_yet() -> None:
    assert load(MemoryDirectory({"LOCK": b"", "MANIFEST-000001": b"half", "CURRENT.tmp": b""})) is None
