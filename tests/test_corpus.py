"""The inputs that fuzzing found worth keeping (tests/corpus/), each through the engines' own doors: an answer or a named error."""
from pathlib import Path

import pytest
from fuzz import plain
from log_reference import log, record
from lsm import _core, _pycore
from lsm.errors import CorruptionError, UnsupportedError, VersionError

CORPUS = Path(__file__).resolve().parent / "corpus"
IDENTITY = bytes(range(16))
ALLOWED = (CorruptionError, VersionError, UnsupportedError)


def inputs(parser):
    found = [(path.name, path.read_bytes()) for path in sorted((CORPUS / parser).iterdir())]
    assert found
    return found


def ended(read):
    """The answer, or the kind of error."""
    try:
        return read()
    except ALLOWED as error:
        return type(error)


def replay(core, data):
    return ended(lambda: core.replay_log(data, "000001.log", 1, IDENTITY, 0, core.Memtable(), "/db"))


@pytest.mark.parametrize("parser", [name for name in plain.PARSERS if name != "http"])
def test_parsers_in_python(parser):
    for name, data in inputs(parser):
        assert plain.outcome(plain.PARSERS[parser][0], data), name


def test_requests():
    pytest.importorskip("uvicorn", reason="the HTTP service is an extra: pip install 'lsmkv[server]'")
    pytest.importorskip("httptools", reason="the HTTP service is an extra: pip install 'lsmkv[server]'")
    for name, data in inputs("http"):
        assert plain.outcome(plain.try_http, data), name


def test_logs_are_read_alike_by_both_cores():
    for name, data in inputs("log"):
        one, two = (replay(core, data) for core in (_core, _pycore))
        assert one == two, name


def test_data_files_and_hints():
    for name, data in inputs("data"):
        assert ended(lambda data=data: _core.hint_of(data, 1, IDENTITY, "/db")), name
        _core.data_highest_watermark(data, 1)


def test_blocks_are_read_alike_by_both_cores():
    for name, data in inputs("block"):
        contents = data[1 + min(data[0], len(data) - 1):]
        one, two = (ended(lambda core=core, contents=contents: core.block_entries(contents, "block")) for core in (_core, _pycore))
        assert one == two, name


def contents(core, directory):
    """What a table of the corpus holds by every way of reading, and how each of them ended. (Of a bad block a get in C looks at as
    much as it needs.)"""
    cache = core.BlockCache(1 << 20)
    table = ended(lambda: core.Table(directory, "000001.table", cache, database_id=IDENTITY))
    if not isinstance(table, core.Table):
        return [table]
    forward = ended(table.entries_list)
    keys = sorted({key for key, *_ in forward})[:3] if isinstance(forward, list) else []
    return [forward, ended(lambda: table.entries_list(reverse=True)), ended(lambda: len(table.damage()[3]) > 0),
            *(ended(lambda key=key: table.get(key, 1 << 40)) for key in keys)]


def test_tables_are_read_alike_by_both_cores(tmp_path):
    """But for those whose compression one of them has not."""
    compared = 0
    for name, data in inputs("table"):
        (tmp_path / "000001.table").write_bytes(data)
        one, two = (contents(core, core.Directory(str(tmp_path))) for core in (_core, _pycore))
        if UnsupportedError not in (*one, *two):
            assert one == two, name
            compared += 1
    assert compared


def test_payloads_are_read_alike_by_both_cores():
    """As the one record of a log, with a checksum that is right, and as many entries as may be."""
    for name, data in inputs("payload"):
        for count in (1, 2, 3):
            whole = log(record(1, data, count=count))
            one, two = (replay(core, whole) for core in (_core, _pycore))
            assert one == two, (name, count)


def test_a_small_block_cannot_claim_much_memory():
    """Found by fuzzing: a zstd block of some bytes that stated 256 MiB had them allocated before it was looked at."""
    for core in (_core, _pycore):
        if "zstd" not in core.compressions:
            continue
        covered = (200 << 20).to_bytes(4, "little") + b"\x28\xb5\x2f\xfd" + bytes(12) + b"\2"
        sealed = covered + _core.crc32c_mask(_core.crc32c(covered)).to_bytes(4, "little")
        with pytest.raises(CorruptionError, match="more than zstd can hold"):
            core.unsealed(sealed, "table")


def test_the_end_of_a_block_is_told_by_its_checksum_alike_by_both_cores():
    sealed = _pycore.unsealed.__globals__["unseal"].__globals__["seal"](b"x" * 300, 0)
    for core in (_core, _pycore):
        assert core.sealed_end(sealed + b"behind", 0, len(sealed) + 6) == len(sealed)
        assert core.sealed_end(sealed, 0, len(sealed) - 1) == core.sealed_end(sealed, 1, len(sealed)) == 0
        assert core.sealed_end(b"", 0, 0) == core.sealed_end(sealed, 0, 10_000) == 0
