"""A batch has room for every node it splits: nodes that are nearly full are split by few insertions. (Debug and
sanitizer builds see a room that is too small at once; others may get away with it.)"""

import random

import lsm


def test_small_batches_split_many_nearly_full_nodes(tmp_path):
    draw = random.Random(7).randbytes
    value = bytes(102_400)
    with lsm.open(tmp_path / "db", compression="none") as db:
        keys = [draw(16) for _ in range(1200)]
        for start in range(0, len(keys), 40):
            db.write_many([(key, value) for key in keys[start : start + 40]])
        assert [key for key in db.scan(values=False)] == sorted(keys)
