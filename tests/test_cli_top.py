"""`lsm top`: one frame, lines of JSON, a live view ended by q; frames of files, of open databases, of a server."""
import io
import json
import subprocess
import sys
import threading

import pytest

pytest.importorskip("typer", reason="the command line needs typer and rich: pip install 'lsmkv[cli]'")
pytest.importorskip("rich", reason="the command line needs typer and rich: pip install 'lsmkv[cli]'")

from rich.console import Console  # noqa: E402
from terminal import CTRL_C, Terminal  # noqa: E402

import lsm  # noqa: E402
from lsm.cli.top import source_of  # noqa: E402
from lsm.cli.top.counters import Counters, Told, of_database  # noqa: E402
from lsm.cli.top.files import Files  # noqa: E402
from lsm.cli.top.frame import SERVER, Level  # noqa: E402
from lsm.cli.top.picture import draw  # noqa: E402
from lsm.cli.top.show import show  # noqa: E402
from lsm.tree.watch import Watch  # noqa: E402

TIMEOUT = 60


def top(*arguments):
    return subprocess.run([sys.executable, "-m", "lsm.cli", "top", *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=TIMEOUT)


@pytest.fixture
def db(tmp_path):
    with lsm.open(tmp_path / "db") as db:
        db.write_many((b"%04d" % number, b"v" * 50) for number in range(1_000))
        db.flush()
        db.put(b"kenya:capital", b"Nairobi")
        yield db


def drawn(frame, past=()):
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(draw(console, frame, past))
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    return text


# ------------------------------------------------------------ the command, beside a process that writes

def test_once_and_json_beside_a_writer(db):
    """Two processes look while a thread of this one writes: how much they see is chance, that they see it is not."""
    ended = threading.Event()

    def write():
        number = 0
        while not ended.is_set():
            db.put(b"%06d" % number, b"x" * 100)
            number += 1
            ended.wait(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        once = top(db.path, "--once")
        lines = top(db.path, "--json", "--count", "2", "--interval", "0.05")
    finally:
        ended.set()
        writer.join()
    assert (once.returncode, once.stderr) == (0, b"")
    for word in (b"L0", b"mem", b"of log", b"from its files"):
        assert word in once.stdout
    assert b"\x1b" not in once.stdout
    assert (lines.returncode, lines.stderr) == (0, b"")
    first, second = map(json.loads, lines.stdout.splitlines())
    assert 1001 <= first["figures"]["sequence"] <= second["figures"]["sequence"]
    assert first["rates"] == {} and second["rates"]["sequence"] >= 0
    assert first["levels"][0]["tables"] >= 1 and first["source"] == "files"


def test_what_is_no_database_and_no_server(tmp_path):
    done = top(str(tmp_path), "--once")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and str(tmp_path).encode() in done.stderr
    with pytest.raises(OSError, match="no answer"):
        source_of("http://127.0.0.1:1", None).frame()


@pytest.mark.parametrize("key", ["q", CTRL_C])
def test_live_until_a_key(db, key):
    with Terminal("top", db.path, "--interval", "0.05", TERM="xterm") as terminal:
        terminal.expect("\x1b[?1049h")              # a screen of its own
        terminal.expect("L0")
        db.put(b"more", b"1")
        terminal.expect("1,002")
        terminal.type(key)
        assert terminal.end() == 0
        assert "\x1b[?1049l" in terminal.shown      # given back
        assert "Traceback" not in terminal.shown


# ------------------------------------------------------------ frames

def test_rates_are_differences_for_a_second(db):
    source = Files(db.path)
    first = source.frame()
    for number in range(100):
        db.put(b"%03d" % number, b"v" * 100)
    second = source.frame()
    seconds = second.time - first.time
    assert first.rates == {} and round(second.rates["sequence"] * seconds) == 100
    assert round(second.rates["log_bytes"] * seconds) == second.figures["log_bytes"] > 100 * 100
    text = drawn(second)
    assert "a second" in text and " s before; " in text


def test_logs_that_came_and_went_count_as_the_others(db):
    source = Files(db.path)
    source.frame()
    for _ in range(3):
        db.flush()
        for number in range(100):
            db.put(b"%03d" % number, b"v" * 100)
    log, = Watch(db.path).look().logs
    assert source.frame().figures["log_bytes"] == 3 * log.bytes


def test_flushes_and_compactions_are_events(db):
    source = Files(db.path)
    source.frame()
    db.flush()
    flushed = source.frame()
    assert [event.what for event in flushed.events] == ["flush"]
    assert flushed.figures["flushes"] == 1 and flushed.figures["bytes_flushed"] == flushed.events[0].bytes
    db.compact()
    merged = source.frame()
    assert [event.what for event in merged.events] == ["compaction"]
    assert "flush: " in drawn(merged, [(flushed.time, event) for event in flushed.events])


def test_a_level_says_how_full_it_is(db):
    frame = Files(db.path).frame()
    assert (frame.levels[0].limit, frame.levels[0].unit, frame.levels[0].fill) == (4, "tables", 0.25)
    assert (frame.levels[1].limit, frame.levels[1].unit) == (256 << 20, "bytes")
    assert frame.levels[-1].fill is None
    assert Level(1, 2, 300, 0, 0, limit=100).fill == 3.0


def test_limits_of_other_policies(tmp_path):
    for policy, limit in (("tiered", (12, "tables")), ("fifo", (1 << 30, "bytes"))):
        with lsm.open(tmp_path / policy, compaction=policy) as db:
            db.put(b"a", b"1")
            db.flush()
            level = Files(db.path).frame().levels[0]
            assert (level.limit, level.unit) == limit


def test_an_open_database_tells_its_counters(db):
    source = of_database(db)
    first = source.frame()
    assert db.get(b"0001") == b"v" * 50 and db.get(b"0001") == b"v" * 50
    db.flush()
    second = source.frame()
    assert second.figures["gets"] - first.figures["gets"] == 2
    assert "flush" in [event.what for event in second.events]
    text = drawn(second)
    assert "reads" in text and "cache" in text and "hits" in text and "stalls" in text


@pytest.mark.parametrize("engine", ["hashlog", "btree", "pylsm"])
def test_other_engines_show_what_their_stats_hold(tmp_path, engine):
    if engine == "btree":
        pytest.importorskip("lmdb", reason="the engine needs it: pip install 'lsmkv[btree]'")
    with lsm.open(tmp_path / "db", engine=engine) as db:
        db.put(b"a", b"1")
    source = source_of(str(tmp_path / "db"), None if engine == "btree" else engine)
    assert source.frame().figures
    assert drawn(source.frame())


def test_counters_that_go_back_have_no_rates():
    gets = iter([10, 12, 1])
    source = Counters(SERVER, "http://here", lambda: Told("hashlog", {"gets": next(gets), "keys": 3}))
    assert source.frame().rates == {}
    assert source.frame().rates["gets"] > 0
    assert source.frame().rates == {}               # the server was started again


def test_show_ends_by_itself_and_lets_go(db, capsys):
    show(of_database(db), 0.01, 2, True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and json.loads(lines[1])["source"] == "database"


# ------------------------------------------------------------ a server

def test_a_server_tells_the_counters_of_its_process(tmp_path, monkeypatch):
    service = pytest.importorskip("service", reason="the HTTP service is an extra")
    from lsm.server.tokens import Tokens

    monkeypatch.setenv("LSM_READ_TOKEN", "r" * 32)
    monkeypatch.setenv("LSM_TOKEN", "")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")          # not asked
    tokens = Tokens.from_environment({"LSM_TOKEN": "w" * 32, "LSM_READ_TOKEN": "r" * 32})
    with service.serving(tmp_path / "db", tokens=tokens) as served:
        source = source_of(served.url, None)
        first = source.frame()
        served.engine.put(b"a", b"1")
        assert served.engine.get(b"a") == b"1"
        second = source.frame()
        assert (first.source, first.engine) == ("server", "lsm")
        assert second.figures["gets"] == first.figures["gets"] + 1 and second.rates["sequence"] > 0
        assert second.levels[0].limit == 4 and second.figures["memory_limit"] == 3 * 64 << 20
        assert "as its server tells" in drawn(second)
        monkeypatch.setenv("LSM_READ_TOKEN", "x" * 32)
        with pytest.raises(OSError, match="the server answers 401"):
            source_of(served.url, None).frame()
        monkeypatch.setenv("LSM_READ_TOKEN", "r" * 32)
        with pytest.raises(OSError, match="the server answers 404"):
            source_of(f"{served.url}/elsewhere", None).frame()
