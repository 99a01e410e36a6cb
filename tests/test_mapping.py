"""A database is an honest MutableMapping[bytes, bytes]."""

import collections.abc

import pytest

EVERY_ENGINE = True         # tests of `db` run on each: conftest.py


def test_a_database_is_a_mutable_mapping(db):
    assert isinstance(db, collections.abc.MutableMapping)


def test_iteration_yields_the_keys_in_order(db):
    db.update({b"b": b"2", b"a": b"1", b"c": b"3"})
    assert list(db) == [b"a", b"b", b"c"] == list(db.keys())
    assert list(db.values()) == [b"1", b"2", b"3"]
    assert list(db.items()) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
    assert list(reversed(list(db.scan(values=False)))) == list(db.scan(values=False, reverse=True))
    assert dict(db) == {b"a": b"1", b"b": b"2", b"c": b"3"}


def test_views_answer_membership_by_key_and_pair(db):
    db[b"a"] = b"1"
    assert b"a" in db.keys() and b"x" not in db.keys()
    assert b"1" in db.values() and b"2" not in db.values()
    assert (b"a", b"1") in db.items() and (b"a", b"2") not in db.items()


def test_membership_is_a_point_lookup_also_over_tables(db):
    db[b"a"] = b"1"
    db.flush()
    db[b"b"] = b"2"
    assert b"a" in db and b"b" in db and b"ab" not in db
    del db[b"a"]
    assert b"a" not in db


def test_pop_takes_the_value_away(db):
    db[b"a"] = b"1"
    assert db.pop(b"a") == b"1" and b"a" not in db
    assert db.pop(b"a", None) is None
    assert db.pop(b"a", b"default") == b"default"
    with pytest.raises(KeyError):
        db.pop(b"a")


def test_popitem_empties_the_store_one_by_one(db):
    model = {b"%d" % number: b"v%d" % number for number in range(20)}
    db.update(model)
    db.flush()
    taken = dict(db.popitem() for _ in range(20))
    assert taken == model and not db
    with pytest.raises(KeyError):
        db.popitem()


def test_setdefault_writes_only_what_was_missing(db):
    assert db.setdefault(b"a", b"1") == b"1"
    assert db.setdefault(b"a", b"2") == b"1"
    assert db[b"a"] == b"1"


def test_update_takes_mappings_pairs_and_the_empty(db):
    db.update({b"a": b"1"})
    db.update([(b"b", b"2"), (b"a", b"3")])
    db.update({})
    assert dict(db.items()) == {b"a": b"3", b"b": b"2"}


def test_update_from_another_database_copies_it(db, path):
    import lsm

    db.update({b"a": b"1", b"b": b"2"})
    with lsm.open(path.with_name("other")) as other:
        other.update(db)
        assert dict(other.items()) == dict(db.items())


def test_clear_empties_memory_and_tables(db):
    db.write_many((b"%04d" % number, b"v") for number in range(1000))
    db.flush()
    db.write_many((b"%04d" % number, b"w") for number in range(500, 1500))
    db.clear()
    assert not db and len(db) == 0 and list(db) == []
    db.flush()
    db.compact()
    assert not db and list(db.scan(reverse=True)) == []


def test_deleting_while_iterating_over_the_keys_is_safe(db):
    db.write_many((b"%04d" % number, b"v") for number in range(1000))
    for key in db:
        del db[key]
    assert not db
