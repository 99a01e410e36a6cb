"""Micro benchmarks of the parts of the core, to show where a regression is: pytest benchmarks/micro.py

Only parts that lsm._core shows to Python are measured; a part that is not there is skipped by its name.
What is timed includes one call from Python. To compare runs: --benchmark-autosave, then
--benchmark-compare.
"""

import pytest
from records import nth_key, value_of_key

core = pytest.importorskip("lsm._core", reason="lsm is not built: pip install . in the checkout")
COUNT = 100_000


def part(name: str):
    found = getattr(core, name, None)
    if found is None:
        pytest.skip(f"lsm._core has no {name}")
    return found


@pytest.fixture(scope="module")
def pairs():
    return [(key, value_of_key(key)) for key in map(nth_key, range(COUNT))]


@pytest.fixture
def store(tmp_path):
    lsm = pytest.importorskip("lsm")
    if not hasattr(lsm, "open"):
        pytest.skip("lsm has no open")
    with lsm.open(tmp_path / "data") as db:
        yield db


@pytest.mark.parametrize("length", [16, 4096, 1 << 20])
def test_crc32c(benchmark, length):
    benchmark(part("crc32c"), bytes(length))


def test_memtable_insert(benchmark, store, pairs):
    """Log append and memtable insert, by one batch of a thousand."""
    benchmark(store.write_many, pairs[:1000])


@pytest.mark.parametrize("place", ["memtable", "table"])
def test_get(benchmark, store, pairs, place):
    store.write_many(pairs)
    if place == "table":
        store.compact()
    key = pairs[COUNT // 2][0]
    assert benchmark(store.get, key) == value_of_key(key)


def test_get_missing_in_table(benchmark, store, pairs):
    store.write_many(pairs)
    store.compact()
    assert benchmark(store.get, nth_key(COUNT)) is None


def test_scan_of_a_table(benchmark, store, pairs):
    store.write_many(pairs)
    store.compact()
    assert benchmark(lambda: sum(1 for _ in store.scan())) == COUNT
