"""The benchmark is sound: it runs, its JSON can be read back and drawn, and a store that answers wrongly is found out.

Small enough to take seconds; no figure is judged. What is not installed is skipped by its name.
"""
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from child import environment

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
FEW = "fillrandom,writemany,fillsustained,readrandom,readmissing,seekrandom,ycsb-a,ycsb-e,flush,compact,reopen,recover"


def run(script, *arguments):
    done = subprocess.run([sys.executable, BENCHMARKS / script, *map(str, arguments)], env=environment(),
                          capture_output=True, text=True, timeout=100)
    return done


@pytest.fixture
def benchmarks(monkeypatch):
    """The modules of benchmarks/ by name; they are forgotten after the test."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What a run of two stores said: its JSON and what it printed."""
    place = tmp_path_factory.mktemp("bench")
    done = run("bench.py", "--records", 1000, "--rounds", 2, "--stores", "lsm,sqlite3", "--workloads", FEW,
               "--state", "new,memtable,uncompacted,cold", "--json", place / "out.json", "--directory", place)
    assert done.returncode == 0, done.stderr
    return json.loads((place / "out.json").read_text()), done.stdout


def test_measures_every_workload_that_was_asked_for(ran):
    result, _ = ran
    seen = {row["workload"] for row in result["rows"] if row["microseconds"]["lsm"]}
    assert seen == set(FEW.split(","))
    assert len(result["rounds"]) == 2
    assert all(microseconds > 0 for row in result["rows"] for microseconds in row["microseconds"].values() if microseconds)


def test_tells_memory_disk_and_pauses(ran):
    result, printed = ran
    measures = {row["measure"] for row in result["sizes"]}
    assert {"peak memory", "bytes on disk", "MB/s of a core", "p99.9", "longest put", "throughput"} <= measures
    assert "longest put" in printed and "fillrandom" in printed
    assert result["machine"]["python"] and result["stores"]["lsm"]


def test_goals_are_judged_only_against_rivals_that_ran(benchmarks):
    report = benchmarks("report")
    measure = {"operations": 10, "seconds": 1.0, "cpu_seconds": 1.0, "payload_bytes": 10}
    ours = {"measures": {"fillrandom": measure}, "memory_bytes": 1, "directory_bytes": 1}
    slow = {"measures": {"fillrandom": {**measure, "seconds": 4.0}}, "memory_bytes": 2, "directory_bytes": 2}
    judged = report.judge([{"write": {"lsm": ours, "lmdb": slow}}])
    assert [(row["workload"], row["rival"], row["met"], row["ratio"]["median"]) for row in judged] == [
        ("fillrandom", "lmdb", True, 4.0)]


@pytest.mark.parametrize("lie", ["get", "multi_get", "scan", "lose"])
def test_a_wrong_answer_ends_the_run(benchmarks, tmp_path, lie):
    floor, contract, session = benchmarks("stores.floor"), benchmarks("stores.contract"), benchmarks("workloads.session")
    write = benchmarks("workloads.write")

    class Liar(floor.SortedDict):
        def open(self):
            super().open()
            get, put = self.get, self.put
            if lie == "get":
                self.get = lambda key: get(key) and b"another"
            if lie == "lose":
                self.put = lambda key, value: None if key[0] < 3 else put(key, value)

        def multi_get(self, keys):
            found = super().multi_get(keys)
            return found[::-1] if lie == "multi_get" else found

        def scan(self, reverse=False):
            rows = list(super().scan(reverse))
            return iter(rows[:-1] if lie == "scan" else rows)

    made = session.Session(Liar, contract.Budget(), str(tmp_path), "new", 1000, 100, seed=1)
    made.begin()
    with pytest.raises(AssertionError, match="get|multiget|scan"):
        write.fillrandom(made)


def test_a_store_that_fails_ends_the_run(benchmarks, tmp_path, monkeypatch):
    turns, workloads = benchmarks("turns"), benchmarks("workloads")
    stages = [workloads.Stage("write", "new", ("no such workload",))]
    plan = turns.Plan(["lsm"], stages, 1000, 100, 1, 1, str(tmp_path), benchmarks("stores").Budget())
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    with pytest.raises(SystemExit, match="lsm failed in stage write"):
        turns.run_rounds(plan)


def test_refuses_what_it_does_not_know():
    done = run("bench.py", "--stores", "lsm,nosuch")
    assert done.returncode == 2 and "nosuch" in done.stderr


@pytest.mark.parametrize("store", ["plyvel", "rocksdict", "lmdb", "sqlite3", "diskcache", "dbm", "dict", "sorteddict"])
@pytest.mark.parametrize("value_bytes", [1, 102_400])         # dbm.ndbm takes an empty value for none
def test_every_store_answers_rightly(benchmarks, tmp_path, store, value_bytes):
    stores, session, ycsb = benchmarks("stores"), benchmarks("workloads.session"), benchmarks("workloads.ycsb")
    try:
        kind = stores.store_type(store)
        kind.load_package()
    except stores.MissingStore as missing:
        pytest.skip(str(missing))
    made = session.Session(kind, stores.Budget(), str(tmp_path), "uncompacted", 60, value_bytes, seed=3)
    made.begin()
    made.prepare()                          # which checks scan, get and multiget
    for letter in "abcfd" if "ycsb-e" in kind.lacks else "abcfde":
        ycsb.run(made, letter=letter)       # the same, after the changes
    made.close()


def test_the_generator_of_ycsb_is_zipfs(benchmarks):
    import random

    ycsb = benchmarks("workloads.ycsb")
    drawn = ycsb.Zipf(1000).draw(random.Random(5), 200_000)
    first, tenth = drawn.count(0), drawn.count(9)
    assert 0.9 < first / tenth / 10**0.99 < 1.1
    assert drawn == ycsb.Zipf(1000).draw(random.Random(5), 200_000)


def test_plots_are_drawn_from_the_json(ran, benchmarks, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install '.[bench]'")
    result, _ = ran
    for row in result["rows"]:              # as if there had been a rival
        row["ratios"]["lmdb"] = {"median": 2.0, "min": 1.5, "max": 3.0}
    benchmarks("plots").plot_ratios(result, str(tmp_path / "ratios.svg"))
    assert "readrandom" in (tmp_path / "ratios.svg").read_text()


def test_scaling_runs_and_write_amplification_is_near_theory(tmp_path):
    done = run("scaling.py", "--largest", 1000, "--stores", "lsm,dict", "--rounds", 1, "--amplified", 30_000,
               "--json", tmp_path / "out.json", "--directory", tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out.json").read_text())
    assert {row["store"] for row in result["rows"]} == {"lsm", "dict"}
    last = {row["policy"]: row for row in result["amplification"]}
    for policy in ("leveled", "tiered"):
        assert last[policy]["flushes"] > 10
        assert 0.8 < last[policy]["measured"] / last[policy]["theory"] < 1.2


def test_theory_of_write_amplification_by_hand(benchmarks):
    amplification = benchmarks("amplification")
    leveled = amplification.LeveledTheory(trigger=4, targets=(1000.0,)).written(1.0)
    assert [next(leveled) for _ in range(8)] == pytest.approx([1, 2, 3, 4 + 4, 9, 10, 11, 12 + 8])
    tiered = amplification.TieredTheory(trigger=4, ratio_percent=10, space_percent=200).written(1.0)
    assert [next(tiered) for _ in range(5)] == [1, 2, 3, 4 + 4, 9]


def test_parts_of_the_core_run(benchmarks):
    parts = benchmarks("parts")
    found = parts.measure([name for name in parts.PARTS if not name.startswith("public")], repeat=1)
    assert set(found) == {name for name in parts.PARTS if not name.startswith("public")}
    assert all(nanoseconds > 0 for nanoseconds in found.values())


def test_compare_judges_by_median_best_and_every_round(benchmarks):
    compared = benchmarks("compare").compared
    rounds = [{"A": {"x": 10, "gone": 1}, "B": {"x": 12, "new": 1}}, {"A": {"x": 10}, "B": {"x": 13}}]
    rows = {row["part"]: row for row in compared(rounds, 1.1)}
    assert rows["x"]["slower"] and not rows["gone"]["slower"] and rows["new"]["ratio"] is None
    rounds[1]["B"]["x"] = 9.9
    assert not compared(rounds, 1.01)[0]["slower"]


def test_two_engines_are_compared_by_turns():
    done = run("pair.py", "hashlog", "memory", "--records", 300, "--rounds", 2)
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:]] == ["| put", "| get, just written", "| put over an old value", "| get, just written again",
                                            "| get, after compact()", "| multi_get of 100"]
    assert run("pair.py", "hashlog", "sqllite").returncode == 2
