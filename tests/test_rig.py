"""The door to the long versions (tests/rig): it opens, says what it found."""
import importlib
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rig import __main__ as door, damage, histories, scenes, scorecard
from rig.faultlist import OF_CORE, OF_PYTHON, Fault
from rig.planted import replaced
from rig.tally import Tally, ending


@pytest.fixture(autouse=True)
def logs():
    """The door silences the log for good: its process ends with it."""
    level = logging.getLogger("lsm").level
    yield
    logging.getLogger("lsm").setLevel(level)


def test_every_row_says_what_it_is(capsys):
    assert door.main([]) == 0
    said = capsys.readouterr().out
    for name in door.ROWS:
        row = importlib.import_module(f"rig.{name}")
        assert row.__doc__ and row.HELP and row.ROUNDS and name in said


def test_a_row_is_played_and_kept(tmp_path, capsys):
    assert door.main(["recovery", "--engine", "hashlog", "--rounds", "1", "--keep", str(tmp_path)]) == 0
    kept = json.loads((tmp_path / "recovery.hashlog.json").read_text())
    assert kept["violations"] == 0 and kept["counts"]["crashes"] > 0 and kept["rounds"] == 1 and kept["seed"] == "0"
    assert "DONE: 1 rounds, seed 0" in capsys.readouterr().out


def test_damages_of_a_small_database_are_told_apart():
    tally = Tally("damage", "hashlog", "0", quiet=True)
    damage.play("hashlog", "0", 1, tally, step=499)
    assert tally.wrong == 0 and tally.counts["damages"] > 30 and tally.counts["live, bit flipped: told"] > 20


def test_what_is_damaged_in_a_log_decides_what_may_be_found():
    history = [{}, {b"a": b"1"}, {b"a": b"2"}]
    records = [scenes.Record("1.log", 64, 128, 1, 0), scenes.Record("1.log", 128, 192, 2, 1)]
    scene = scenes.Scene({"1.log": bytes(256), "1.table": bytes(9)}, history, records)
    assert scene.allowed("1.table", 3, 4) == scene.allowed("1.log", 100, 101) == [history[2]]
    assert scene.allowed("1.log", 130, 131) == [history[2], history[1]]         # the last record: as if torn
    assert scene.allowed("1.log", 100) == [history[2], history[0]]              # cut: nothing left says that 1 was synced
    assert scene.covered("1.log", 100) and not scene.covered("1.log", 130) and not scene.covered("1.log", 200)


def test_an_order_is_found_or_there_is_none():
    call = histories.Call
    nothing, one, two = (None, None, None), (b"1", None, None), (b"2", b"2", None)
    put, batch = call(0, 3, {b"a": b"1"}, {}), call(4, 9, {b"a": b"2", b"b": b"2"}, {})
    for begin, end, seen, there in ((1, 2, None, True), (1, 2, b"1", True), (5, 6, b"1", True), (5, 6, b"2", True),
                                    (5, 6, None, False), (1, 2, b"2", False)):
        assert histories.explained(nothing, [[put, batch], [call(begin, end, {}, {b"a": seen})]], two) is there
    assert not histories.explained(nothing, [[put, batch], [call(5, 6, {}, {b"a": b"2", b"b": None})]], two)      # a batch in part
    assert not histories.explained(nothing, [[put, batch]], one)


def test_an_unknown_row_is_refused(capsys):
    assert door.main(["no such row"]) == 2
    assert "no row" in capsys.readouterr().err


def test_a_violation_is_told_with_what_repeats_it(capsys):
    tally = Tally("power", "lsm", "7")
    tally.round = 3
    with tally.watching("kind", "context"):
        raise AssertionError("wrong")
    assert tally.wrong == 1 and tally.record(4)["first"][0]["round"] == 3
    assert "run.py rig power --engine lsm --seed 7 --round 3" in capsys.readouterr().out


def test_what_does_not_end_is_a_violation(monkeypatch):
    monkeypatch.setattr("rig.tally.HANG", 1)
    tally = Tally("faults", "lsm", "0", quiet=True)
    with tally.watching("kind"), ending(tally):
        while True:
            pass
    assert tally.wrong == 1 and "not done after 1 s" in tally.violations[0]["what"]


def test_a_fault_is_planted_in_one_place_or_not_at_all():
    fault = Fault("a name", "a file", "one", "lsm_planted(PLANT)", ("power", "lsm"))
    assert replaced("one two", fault, 7) == "lsm_planted(7) two"
    for text in ("two", "one one"):
        with pytest.raises(ValueError, match="has moved on"):
            replaced(text, fault)
    assert len({fault.name for fault in OF_PYTHON}) + len({fault.name for fault in OF_CORE}) >= 25


def test_the_scorecard_is_made_of_the_results():
    page = scorecard.page()
    for (row, engine), result in scorecard.results().items():
        assert result["violations"] == 0, (row, engine)
        assert result["commit"] in page


def test_what_the_scorecard_points_to_is_there():
    files = {path.name: path.read_text() for path in Path(__file__).parent.glob("test_*.py")}
    named = set(re.findall(r"test_\w+", str(scorecard.OTHERS)))
    assert len(named) > 30
    for name in named:
        assert f"{name}.py" in files or any(f"def {name}(" in text for text in files.values()), name


def test_a_hang_that_is_caught_ends_the_row(tmp_path):
    """A step that another thread makes for the main one keeps what comes meanwhile until it is made."""
    program = """
import time, rig.tally
from rig.tally import Tally, ending
rig.tally.HANG = rig.tally.GRACE = 1
with ending(Tally("faults", "lsm", "0", quiet=True)):
    while True:
        try:
            time.sleep(10)
        except BaseException:
            pass
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60,
                           env={**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])})
    assert ended.returncode == 1 and "VIOLATION (hangs)" in ended.stdout
