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


def test_scans_that_use_what_earlier_ones_left_are_bounded_by_their_own_bounds(few):
    """One after the other, and one inside the other, with every shape of rows and direction."""
    shapes = [{}, {"values": False}, {"keys": False}, {"reverse": True}, {"limit": 2}, {"prefix": b"a"},
              {"start": b"aa", "stop": b"b\xff"}, {"start": b"c"}, {"stop": b"aa", "include_stop": True}]
    for outer in shapes:
        for inner in shapes:
            for row, expected in zip(few.scan(**outer), scanned(FEW, **outer), strict=True):
                assert row == expected
                assert list(few.scan(**inner)) == scanned(FEW, **inner), (outer, inner)


def test_a_scan_that_uses_what_an_earlier_one_left_sees_what_was_written_since(path):
    with lsm.open(path) as db:
        assert list(db.scan()) == []            # no memtable in use
        db[b"a"] = b"1"
        assert list(db.scan()) == [(b"a", b"1")]
        with db.snapshot() as then:
            db[b"a"] = b"2"
            db[b"b"] = b"3"
            assert list(db.scan()) == [(b"a", b"2"), (b"b", b"3")]
            assert list(then.scan()) == [(b"a", b"1")]
            db.flush()
            assert list(db.scan()) == [(b"a", b"2"), (b"b", b"3")]
            db[b"c"] = b"4"
            assert list(then.scan(reverse=True)) == [(b"a", b"1")]
            assert list(db.scan(reverse=True)) == [(b"c", b"4"), (b"b", b"3"), (b"a", b"2")]


def test_columns_left_by_a_scan_of_one_column_are_wide_enough_for_both(path):
    with lsm.open(path) as db:
        pairs = {b"%04d" % number: b"v%d" % number for number in range(60)}
        db.update(pairs)
        for shape in ({"keys": False}, {}, {"values": False}, {}, {"keys": False, "reverse": True}, {"reverse": True}):
            for limit in (1, 17, 40, 60):
                assert list(db.scan(limit=limit, **shape)) == scanned(pairs, **shape)[:limit]


def test_a_scan_that_was_used_up_keeps_no_file(path):
    with lsm.open(path, **TINY) as db:
        db.write_many((b"%05d" % number, b"v" * 100) for number in range(2000))
        db.flush()
        assert len(list(db.scan())) == 2000
        rows = db.scan(start=b"01000", limit=3)
        assert len(list(rows)) == 3
        before = set(path.glob("*.table"))
        db.update({b"%05d" % number: b"w" for number in range(2000)})
        db.compact()
        assert not before & set(path.glob("*.table"))


def test_the_end_of_a_scan_is_the_end_however_it_is_asked_for(few):
    rows = few.scan(limit=1)
    assert rows.__next__() == (b"", b"e")
    with pytest.raises(StopIteration):
        rows.__next__()
    with pytest.raises(StopIteration):
        next(rows)
    assert next(rows, None) is None
    assert list(rows) == [] and list(few.scan(limit=0)) == []
    rows = few.scan()
    first, *others = rows
    assert [first, *others] == list(FEW.items())


def test_a_closed_scan_is_not_at_its_end(few):
    """Engines answered differently. Who goes on with one that was closed would take what he has for all there is."""
    for begin in (few.scan, few.snapshot().scan, few.scan_chunks, few.snapshot().scan_chunks):
        rows = begin()
        rows.close()
        rows.close()
        with pytest.raises(lsm.ClosedError):
            next(rows)
        with pytest.raises(lsm.ClosedError):
            list(rows)
        with begin() as rows:
            assert list(rows)
        assert next(rows, None) is None and list(rows) == []        # it was at its end, and stays there
    with few.scan() as rows:
        assert next(rows) == (b"", b"e")
    with pytest.raises(lsm.ClosedError):
        next(rows)


@pytest.mark.parametrize("common", [0, 1, 4, 7, 8, 9, 12])
@pytest.mark.parametrize("tail", [1, 3, 4, 5, 9])
def test_seeks_in_tables_whose_keys_begin_alike(path, rng, common, tail):
    start = bytes(rng.choices(b"ab", k=common))
    pairs = {start + bytes(rng.choices(b"\0\x01a\xff", k=rng.randint(0, tail))): b"%d" % number for number in range(300)}
    with lsm.open(path) as db:
        db.update(pairs)
        db.flush()
        for key in sorted(pairs):
            for wanted in (key, key + b"\0", key[:-1], key[:-1] + b"\x02"):
                assert list(db.scan(wanted, limit=3)) == scanned(pairs, wanted)[:3]
                with db.cursor() as cursor:
                    found = cursor.seek(wanted)
                    assert (cursor.key, found) == next(((key, True) for key, _ in scanned(pairs, wanted)), (None, False))
