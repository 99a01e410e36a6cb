"""What every engine test starts from: a path nobody has used, and a database opened on it."""

import random

import lsm
import pytest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db"


@pytest.fixture
def db(path):
    store = lsm.open(path)
    yield store
    store.close()


@pytest.fixture
def rng(request):
    """Random numbers of a fixed seed, one per test; the seed is printed when the test fails."""
    seed = f"{request.node.name}"
    print(f"seed: {seed!r}")
    return random.Random(seed)
