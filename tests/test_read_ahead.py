"""Scans over what is not cached: few reads for many blocks, the hot set stays cached, damage names its own block."""
import lsm
import pytest
from damage import flipped

ROWS = 20_000
OPTIONS = {"compression": "none", "block_bytes": 4096}


def build(path, **options):
    with lsm.open(path, **OPTIONS, **options) as db:
        db.write_many((b"%06d" % number, b"%06d." % number * 16) for number in range(ROWS))
        db.compact()
    return [(b"%06d" % number, b"%06d." % number * 16) for number in range(ROWS)]


def ways(db):
    return {"scan": lambda: list(db.scan()), "back": lambda: list(db.scan(reverse=True))[::-1],
            "chunks": lambda: [row for chunk in db.scan_chunks() for row in chunk]}


@pytest.mark.parametrize("way", ["scan", "back", "chunks"])
def test_the_rows_are_right_whatever_fits_the_cache(path, way):
    rows = build(path)
    for cache in (0, 100_000, 1 << 20, 64 << 20):
        with lsm.open(path, block_cache_bytes=cache) as db:
            for _ in range(3):
                assert ways(db)[way]() == rows
            assert db.stats().cache_used <= cache


def test_a_long_scan_leaves_the_hot_set_in_the_cache(path):
    rows = build(path)
    with lsm.open(path, block_cache_bytes=1 << 20) as db:
        hot = [key for key, _ in rows[::400]]
        list(db.scan())                                         # fills the room there is
        for _ in range(3):
            for key in hot:
                db[key]
        for way in ways(db).values():
            assert way() == rows
        before = db.stats().cache_misses
        for key in hot:
            db[key]
        assert db.stats().cache_misses == before


def test_a_scan_fills_an_empty_cache(path):
    build(path)
    with lsm.open(path) as db:
        list(db.scan())
        before = db.stats().cache_misses
        list(db.scan())
        assert db.stats().cache_misses == before and db.stats().cache_used > ROWS * 100


def test_neighbouring_blocks_are_turned_back_and_forth(path, rng):
    """Directions change in the middle of what was read ahead."""
    rows = build(path)
    with lsm.open(path, block_cache_bytes=0) as db, db.cursor() as cursor:
        at = ROWS // 2
        cursor.seek(rows[at][0])
        for _ in range(60):
            steps, back = rng.randrange(1, 400), rng.random() < 0.5
            for _ in range(min(steps, at if back else ROWS - 1 - at)):
                at += -1 if back else 1
                assert cursor.prev() if back else cursor.next()
            assert (cursor.key, cursor.value) == rows[at]


@pytest.mark.parametrize("number", [0, 50, 9_000, 19_999])
def test_damage_names_its_block_and_comes_when_it_is_reached(path, number):
    rows = build(path)
    (table,) = path.glob("*.table")
    data = table.read_bytes()
    place = data.index(b"%06d." % number * 16)
    table.write_bytes(flipped(data, place, 0))
    with lsm.open(path, block_cache_bytes=0) as db:
        for reverse in (False, True):
            found = []
            with pytest.raises(lsm.CorruptionError) as caught:
                for row in db.scan(reverse=reverse):
                    found.append(row)
            assert place - 4200 < caught.value.offset <= place
            assert found == (rows[::-1] if reverse else rows)[:len(found)]
            assert 0 <= (ROWS - number if reverse else number) - len(found) < 80
