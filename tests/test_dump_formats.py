"""The three formats of dumps: any bytes come back, hand-written lines are taken, damage is noticed; and docs/format-dump.md."""
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lsm
from lsm import _core, dump
from lsm.dump import binary, jsonl, lines, text

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "format-dump.md").read_text()

awkward = st.lists(st.sampled_from(
    ["→", "†", "\\", "\n", "\r", "\t", "{", "}", '"', "x41", "a", " ", "\0", "\u2028", "\ufeff", "é", "𝄞", "\x85", "\x7f"]
).map(str.encode) | st.binary(max_size=3), max_size=6).map(b"".join)
some_bytes = st.binary(max_size=30) | st.text(max_size=20).map(lambda shown: shown.encode("utf-8", "replace")) | awkward
entries = st.lists(st.tuples(some_bytes, st.none() | some_bytes), max_size=12)


def written(found, format):
    file = io.BytesIO()
    assert dump.write(iter(found), file, format) == len(found)
    return file.getvalue()


def read(data, format=None):
    return list(dump.read(io.BytesIO(data), format))


@pytest.mark.parametrize("format", dump.FORMATS)
@given(found=entries)
def test_any_bytes_come_back_and_the_format_is_told(format, found):
    data = written(found, format)
    assert read(data, format) == found
    if found or format == "binary":
        assert read(data) == found


@given(found=entries)
def test_text_is_a_printable_line_an_entry(found):
    data = written(found, "text").decode()
    assert data.count("\n") == len(found)
    assert all(line.isprintable() for line in data.split("\n"))
    assert not any(line.startswith("{") for line in data.split("\n"))


@given(found=entries)
def test_json_lines_are_what_the_json_module_reads(found):
    shown = [json.loads(line) for line in written(found, "jsonl").splitlines() if line]
    assert [fields.keys() & {"key", "key_base64"} for fields in shown] == [
        {"key"} if is_text(key) else {"key_base64"} for key, _ in found]


def is_text(data):
    try:
        return data.decode() is not None
    except UnicodeDecodeError:
        return False


@pytest.mark.parametrize("line, entry", [
    ("kenya:capital→Nairobi", (b"kenya:capital", b"Nairobi")),
    ("tanzania:capital→†", (b"tanzania:capital", None)),
    ("→", (b"", b"")),
    ("a → b ", (b"a ", b" b ")),
    ("a→b→c", (b"a", "b→c".encode())),
    ("a\\→b→c", ("a→b".encode(), b"c")),
    ("a\\\\→b", (b"a\\", b"b")),
    ("a→††", (b"a", "††".encode())),
    ("a→\\†", (b"a", "†".encode())),
    ("\\x41\\xe2\\x86\\x92→\\n\\x0A\\t\\r", ("A→".encode(), b"\n\n\t\r")),
    ("\\{a→{", (b"{a", b"{")),
    ("a→\u2028", (b"a", "\u2028".encode())),
])
def test_lines_as_a_person_writes_them(line, entry):
    assert text.decode(line.encode()) == entry
    assert read((line + "\r\n\n").encode(), "text") == [entry]
    assert read((line + "\n" + line).encode(), "text") == [entry, entry]


@pytest.mark.parametrize("line, told", [
    (b"no arrow", "no →"),
    ("a\\→b".encode(), "no →"),
    ("a→\\q".encode(), "backslash"),
    ("a→\\x4".encode(), "backslash"),
    ("a→b\\".encode(), "backslash"),
    ("1\ta→b".encode(), "versions"),
    ("a→\x1b".encode(), "\\x1b"),
    ("a→".encode() + b"\xff", "write it as \\xff"),
])
def test_text_that_makes_no_sense_names_its_line(line, told):
    with pytest.raises(lsm.FormatError) as raised:
        read("a→b\n".encode() + line, "text")
    assert (raised.value.source, raised.value.place) == ("the input", "line 2")
    assert told in str(raised.value)


@pytest.mark.parametrize("line, told", [
    ('{"key": "a"}', "value"),
    ('{"value": "a"}', "key"),
    ('{"key": null, "value": "a"}', "null"),
    ('{"key": "a", "value": 5}', "quotes"),
    ('{"key": "a", "value": "b", "value_base64": "Yg=="}', "one of"),
    ('{"key": "a", "value_base64": "?"}', "base64"),
    ('{"key": "a", "value_base64": null}', "string"),
    ('{"key": "a", "value": "b", "ttl": 5}', "'ttl'"),
    ('{"key": "a", "key": "b", "value": "c"}', "twice"),
    ('{"sequence": 1, "key": "a", "value": "c"}', "versions"),
    ('{"key": "\\ud800", "value": "c"}', "surrogate"),
    ('["a", "b"]', "object"),
    ('{"key": "a"', "not JSON"),
    ("[" * 100_000, "not JSON"),
    ("9" * 10_000, ""),
])
def test_json_that_makes_no_sense_names_its_line(line, told):
    with pytest.raises(lsm.FormatError) as raised:
        read(b'{"key": "a", "value": "b"}\n' + line.encode())
    assert raised.value.place == "line 2" and told in str(raised.value)


def test_json_lines_as_a_person_writes_them():
    data = '\ufeff\n  {"value":"Nairobi" , "key":"kenya"}\r\n\n{"key": "caf\\u00e9", "value": null}'.encode()
    assert read(data) == [(b"kenya", b"Nairobi"), ("café".encode(), None)]


def test_a_line_without_end_takes_bounded_memory(monkeypatch):
    monkeypatch.setattr(lines, "LINE_BYTES_MAX", 1000)
    with pytest.raises(lsm.FormatError, match="line 1: it is longer"):
        read(b"a" * 5000, "text")


def test_versions_are_shown_and_never_loaded():
    for format in ("text", "jsonl"):
        data = written([(b"a", b"b", 12), (b"a", None, 7)], format)
        with pytest.raises(lsm.FormatError, match="line 1.*for reading"):
            read(data)
    assert written([(b"a", b"b", 12)], "text").decode() == "12\ta→b\n"
    assert json.loads(written([(b"a", b"b", 12)], "jsonl")) == {"sequence": 12, "key": "a", "value": "b"}


# ------------------------------------------------------------ binary

MANY = [(b"%05d" % number, b"v" * (number % 300) if number % 7 else None) for number in range(6000)]


def test_a_binary_dump_has_many_blocks_and_is_read_from_any_stream():
    data = written(MANY, "binary")
    assert len(data) > 3 * binary.BLOCK_BYTES and read(data) == MANY


def test_a_binary_dump_that_ends_anywhere_is_noticed():
    data = written(MANY[:50], "binary")
    for size in range(1, len(data)):
        with pytest.raises(lsm.FormatError, match="cut off"):
            read(data[:size], "binary")


def test_a_changed_byte_is_noticed_wherever_it_is(rng):
    data = written(MANY[:50], "binary")
    for at in {*range(len(data[:100])), *range(len(data) - 25, len(data)), *rng.choices(range(len(data)), k=300)}:
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randrange(8)
        with pytest.raises((lsm.FormatError, lsm.VersionError)):
            read(bytes(changed), "binary")


def test_a_missing_or_doubled_block_is_noticed():
    data = written(MANY, "binary")
    size, *_ = binary.BLOCK.unpack_from(data, binary.HEADER.size)
    first = data[binary.HEADER.size:binary.HEADER.size + binary.BLOCK.size + size]
    with pytest.raises(lsm.FormatError, match="entries are missing"):
        read(data.replace(first, b""))
    with pytest.raises(lsm.FormatError, match="entries are missing"):
        read(data.replace(first, first + first))
    with pytest.raises(lsm.FormatError, match="follows the end"):
        read(data + b"\n")


def test_what_could_be_read_is_given_before_the_damage():
    data = bytearray(written(MANY, "binary"))
    data[-30] ^= 1
    found = []
    with pytest.raises(lsm.FormatError, match="checksum of a block"):
        found.extend(dump.read(io.BytesIO(data)))
    assert len(found) > 3000 and found == MANY[:len(found)]


def test_a_size_from_the_file_is_no_reason_to_take_memory():
    head = written([], "binary")[:binary.HEADER.size]
    with pytest.raises(lsm.FormatError, match="too large"):
        read(head + binary.BLOCK.pack(0xFFFFFFFF, 1, 0, 0) + b"x")


@pytest.mark.parametrize("payload", [b"\x02\x01a", b"\x01\x05\x05ab", b"\x01", b"\x00\x01ab", b"\x00\xff\xff\xff\xff\xff\xff\x00"])
def test_a_block_of_nonsense_with_a_right_checksum_is_refused(payload):
    with pytest.raises(lsm.FormatError, match="damaged"):
        read(written([], "binary")[:binary.HEADER.size] + binary._block(1, 0, payload))


def test_a_newer_binary_dump_is_told_apart_from_damage():
    covered = binary.MAGIC + (2).to_bytes(4, "little")
    with pytest.raises(lsm.VersionError, match="format 2"):
        read(covered + binary._masked(covered).to_bytes(4, "little"))


def test_a_source_that_fails_leaves_a_dump_that_says_so():
    def failing():
        yield from MANY[:10]
        raise lsm.CorruptionError("x.table", 7, "wrong")

    for format in dump.FORMATS:
        file = io.BytesIO()
        with pytest.raises(lsm.CorruptionError):
            dump.write(failing(), file, format)
        found = []
        try:
            found.extend(dump.read(io.BytesIO(file.getvalue()), format))
        except lsm.FormatError as error:
            assert format == "binary" and "cut off" in str(error)
        assert found == MANY[:10]


def test_unknown_formats_and_strange_files_are_refused():
    with pytest.raises(lsm.OptionError, match="'text' or 'jsonl' or 'binary'"):
        dump.write([], io.BytesIO(), "csv")
    with pytest.raises(lsm.FormatError, match="a log of a database"):
        read(b"lsm.log\n" + bytes(80))


# ------------------------------------------------------------ the page

def test_the_lines_of_the_page():
    rows = re.findall(r"^\| .*? \| .*? \| `(.*→.*)` \|$", PAGE, re.MULTILINE)
    assert [text.decode(row.encode()) for row in rows] == [
        (b"kenya:capital", b"Nairobi"), (b"tanzania:capital", None), (b"", b""), ("a→b".encode(), "c→d".encode()),
        (b"C:\\temp", "†".encode()), (b"\x00\xff", b"two\nlines")]
    assert [text.encode(*text.decode(row.encode())).decode() for row in rows] == [row + "\n" for row in rows]


def test_the_json_of_the_page():
    block = PAGE.split("```json\n")[1].split("```")[0]
    found = [(b"kenya:capital", b"Nairobi"), (b"tanzania:capital", None), (b"photo", b"\x89PNG")]
    assert [jsonl.decode(line.encode()) for line in block.splitlines()] == found
    assert written(found, "jsonl").decode() == block


def test_the_bytes_of_the_page():
    block = PAGE.split("### An example")[1].split("```")[1]
    data = b""
    for line in block.strip().splitlines():
        offset, _, rest = line.partition("  ")
        assert int(offset, 16) == len(data)
        data += bytes.fromhex(rest.split("  ")[0])
    assert data == written([(b"kenya:capital", b"Nairobi"), (b"tanzania:capital", None)], "binary")
    assert _core.crc32c_mask(_core.crc32c(data[:12])) == int.from_bytes(data[12:16], "little")
