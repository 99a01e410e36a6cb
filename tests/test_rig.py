"""The door to the long versions (tests/rig): it opens, says what it found."""
import importlib
import json

import pytest
from rig import __main__ as door, scorecard
from rig.faultlist import OF_CORE, OF_PYTHON, Fault
from rig.planted import replaced
from rig.tally import Tally


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
