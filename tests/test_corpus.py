"""The inputs that fuzzing found worth keeping (tests/corpus/), each through the engines' own doors: an answer or a named error."""
from pathlib import Path

import pytest
from fuzz import plain
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
        one, two = (ended(lambda core=core, data=data: core.replay_log(data, "000001.log", 1, IDENTITY, 0, core.Memtable(), "/db"))
                    for core in (_core, _pycore))
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


def test_tables():
    for name, data in inputs("table"):
        directory = _core.SimulatedDirectory({"000001.table": data})
        table = ended(lambda directory=directory: _core.Table(directory, "000001.table", _core.BlockCache(0), database_id=IDENTITY))
        if isinstance(table, _core.Table):
            for read in (table.entries_list, lambda table=table: table.entries_list(reverse=True), table.damage):
                ended(read)


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
