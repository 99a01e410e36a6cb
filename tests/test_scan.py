"""Scans: bounds, prefixes, both directions and limits against the definition; and each scan sees its own moment."""

import lsm
import pytest
from model import TINY, random_key, random_range, random_value, scanned

EVERY_ENGINE = True         # tests of `db` run on each: conftest.py

FEW = {b"": b"e", b"a": b"1", b"aa": b"2", b"ab": b"3", b"b": b"4", b"b\xff": b"5", b"b\xff\xff": b"6", b"c": b"7",
       b"\xfe": b"8", b"\xff": b"9", b"\xff\x00": b"10", b"\xff\xff": b"11", b"\xff\xff\xff": b"12"}


@pytest.fixture(params=["memtable", "tables", "both", "overwritten"])
def few(request, db):
    """The same dozen pairs, lying in memory, in tables, in both, or over older versions and deleted neighbours."""
    pairs = list(FEW.items())
    if request.param == "overwritten":
        db.write_many((key + tail, b"old") for key in FEW for tail in (b"", b"\x00", b"\xff"))
        db.flush()
        for key in [key for key in db if key not in FEW]:
            del db[key]
    db.write_many(pairs[::2])
    if request.param in ("both", "tables"):
        db.flush()
    db.write_many(pairs[1::2])
    if request.param == "tables":
        db.flush()
    return db


PREFIXES = [b"", b"a", b"aa", b"aaa", b"b", b"b\xff", b"b\xff\xff", b"b\xff\xff\xff", b"\xfe", b"\xff", b"\xff\xff",
            b"\xff\xff\xff", b"\xff\xff\xff\xff", b"\x00", b"d"]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_selects_exactly_the_keys_that_start_with_it(few, prefix, reverse):
    assert list(few.scan(prefix=prefix, reverse=reverse)) == scanned(FEW, prefix=prefix, reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("include_start", [False, True])
@pytest.mark.parametrize("include_stop", [False, True])
def test_bounds_are_included_or_not_in_every_combination(few, include_start, include_stop, reverse):
    bounds = [None, b"", b"\x00", b"a", b"a\x00", b"b", b"b\xff", b"bb", b"\xff", b"\xff\xff\xff", b"\xff" * 4]
    for start in bounds:
        for stop in bounds:
            asked = {"include_start": include_start, "include_stop": include_stop, "reverse": reverse}
            assert list(few.scan(start, stop, **asked)) == scanned(FEW, start, stop, **asked), (start, stop)


def test_start_is_included_and_stop_is_not_unless_asked(few):
    assert list(few.scan(b"a", b"b", values=False)) == [b"a", b"aa", b"ab"]
    assert list(few.scan(start=b"a", stop=b"b", values=False, reverse=True)) == [b"ab", b"aa", b"a"]


def test_a_prefix_and_bounds_together_select_what_satisfies_both(few):
    for start in (None, b"", b"a", b"aa", b"b\xff", b"z"):
        for stop in (None, b"", b"ab", b"b", b"b\xff\xff", b"\xff"):
            for prefix in (b"", b"a", b"b", b"\xff"):
                for reverse in (False, True):
                    asked = {"prefix": prefix, "reverse": reverse, "include_start": False, "include_stop": True}
                    expected = scanned(FEW, start, stop, **asked)
                    assert list(few.scan(start, stop, **asked)) == expected, (start, stop, prefix)


def test_crossed_and_equal_bounds_are_empty_not_an_error(few):
    assert list(few.scan(b"b", b"a")) == [] == list(few.scan(b"b", b"a", reverse=True))
    assert list(few.scan(b"a", b"a")) == []
    assert list(few.scan(b"a", b"a", include_stop=True)) == [(b"a", b"1")]
    assert list(few.scan(b"a", b"a", include_stop=True, include_start=False)) == []


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("limit", [0, 1, 2, 12, 13, 14, 10**12, None])
def test_a_limit_ends_the_scan_after_that_many_rows(few, limit, reverse):
    assert list(few.scan(limit=limit, reverse=reverse)) == scanned(FEW, limit=limit, reverse=reverse)
    assert list(few.scan(prefix=b"b", limit=limit, reverse=reverse)) == scanned(
        FEW, prefix=b"b", limit=limit, reverse=reverse)


def test_keys_only_values_only_and_pairs(few):
    assert list(few.scan(values=False)) == sorted(FEW)
    assert list(few.scan(keys=False)) == [FEW[key] for key in sorted(FEW)]
    row = next(few.scan())
    assert row == (b"", b"e") and type(row) is tuple


@pytest.mark.parametrize("wrong", [{"keys": False, "values": False}, {"limit": -1}])
def test_a_scan_that_makes_no_sense_is_a_value_error(few, wrong):
    with pytest.raises(ValueError):
        few.scan(**wrong)


@pytest.mark.parametrize("wrong", [{"limit": "3"}, {"limit": 1.5}, {"backwards": True}])
def test_a_scan_asked_in_wrong_types_is_a_type_error(few, wrong):
    with pytest.raises(TypeError):
        few.scan(**wrong)


def test_a_finished_scan_stays_finished(few):
    rows = few.scan()
    assert len(list(rows)) == len(FEW)
    few[b"zzz"] = b"late"
    assert next(rows, None) is None and next(rows, None) is None
    assert iter(rows) is rows


def test_an_empty_database_scans_to_nothing(db):
    for reverse in (False, True):
        assert list(db.scan(reverse=reverse)) == []
        assert list(db.scan(prefix=b"\xff", reverse=reverse)) == []
        assert list(db.scan(b"a", b"b", reverse=reverse)) == []


@pytest.mark.parametrize("options", [{}, TINY], ids=["default", "tiny"])
def test_random_ranges_agree_with_the_definition(path, rng, options):
    model = {}
    with lsm.open(path, **options) as db:
        for number in range(2000):
            if rng.random() < 0.8:
                key, value = random_key(rng), random_value(rng, number)[:200]
                db[key] = model[key] = value
            else:
                key = random_key(rng)
                db.delete(key)
                model.pop(key, None)
            if number in (300, 700, 1200):
                db.flush()
            if number == 900:
                db.compact()
        for _ in range(600):
            asked = random_range(rng)
            assert list(db.scan(**asked)) == scanned(model, **asked), asked


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_sees_the_moment_it_was_opened(path, reverse):
    before = {b"%05d" % number: b"before" for number in range(2000)}
    with lsm.open(path, **TINY) as db:
        db.write_many(before)
        rows = db.scan(reverse=reverse)
        seen = [next(rows) for _ in range(10)]
        for number in range(2000):  # behind the scan, in front of it, under it
            if number % 3 == 0:
                del db[b"%05d" % number]
            elif number % 3 == 1:
                db[b"%05d" % number] = b"after"
            else:
                db[b"%05d.5" % number] = b"new"
            if number % 500 == 0:
                db.flush()
        db.compact()
        seen += rows
        assert seen == scanned(before, reverse=reverse)


def test_many_scans_opened_at_different_moments_each_keep_theirs(path):
    with lsm.open(path, **TINY) as db:
        scans, moments, model = [], [], {}
        for moment in range(30):
            for number in range(moment, 600, 7):
                db[b"%04d" % number] = model[b"%04d" % number] = b"%d" % moment * 30
            scans.append(db.scan(reverse=moment % 2 == 1))
            moments.append(scanned(model, reverse=moment % 2 == 1))
            if moment % 10 == 9:
                db.compact()
        for rows, moment in zip(scans, moments):
            assert list(rows) == moment


def test_a_scan_dropped_half_way_pins_nothing(path):
    with lsm.open(path, **TINY) as db:
        db.write_many((b"%05d" % number, b"v" * 100) for number in range(2000))
        for _ in range(50):
            next(db.scan())
        db.clear()
        db.compact()
        assert list(db.scan()) == []
        assert db.stats().tables == 0
