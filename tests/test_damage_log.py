"""Damage to the log of a killed process: a torn tail is dropped, anything before it is CorruptionError.

The writer stops before and after its last write, so that the tests know where in the log the last record lies.
"""

import os
import shutil

import lsm
import pytest
from child import Child
from damage import Victim, flipped, places

MOST = int(os.environ.get("LSM_FLIPS", "200"))
WRITER = """
db = lsm.open(sys.argv[1])
db[b"first"] = b"in a table"
db.flush()
for number in range(40):
    with db.write_batch() as batch:
        for part in range(3):
            batch.put(b"%02d.%d" % (number % 30, part), b"%d:" % number + b"v" * number)
        if number % 4 == 3: batch.delete(b"%02d.1" % (number - 2))
print("before the last", flush=True); sys.stdin.readline()
db[b"last"] = b"the last record " * 3
print("after the last", flush=True); sys.stdin.readline()
db[b"later"] = b"to see where the last record ended"
print("later", flush=True); sys.stdin.readline()
"""


def history():
    """What the database holds after each write of WRITER."""
    state = {b"first": b"in a table"}
    states = [{}, dict(state)]
    for number in range(40):
        for part in range(3):
            state[b"%02d.%d" % (number % 30, part)] = b"%d:" % number + b"v" * number
        if number % 4 == 3:
            state.pop(b"%02d.1" % (number - 2), None)
        states.append(dict(state))
    return [*states, {**state, b"last": b"the last record " * 3}]


STATES = history()
WHOLE, WITHOUT_LAST = STATES[-1], STATES[-2]


def first_difference(one, two):
    """Where in the log the record lies that `two` has and `one` has not."""
    shared = min(len(one), len(two))
    return next((at for at in range(shared) if one[at] != two[at]), shared)


class KilledLog(Victim):
    """The directory a killed writer left (copied while it lived: the same bytes).

    `log` is the live log, and its last record lies from `last` to `end`.
    """

    def __init__(self, directory):
        with Child(WRITER, directory / "db") as writer:
            writer.hear()
            shutil.copytree(directory / "db", directory / "before")
            writer.tell()
            writer.hear()
            shutil.copytree(directory / "db", directory / "then")
            writer.tell()
            writer.hear()
            writer.kill()
        super().__init__(directory / "then", directory / "scratch")
        before, later = (Victim(directory / name, directory / "none").bytes for name in ("before", "db"))
        changed = [name for name, data in self.bytes.items() if before.get(name) != data]
        assert len(changed) == 1 and changed[0].endswith(".log"), changed
        self.log = changed[0]
        self.data = self.bytes[self.log]
        self.last = first_difference(before[self.log], self.data)
        self.end = first_difference(self.data, later[self.log])


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A read-only open tries again in case a writer was just replacing files; here nobody is."""
    monkeypatch.setattr("lsm.opening.READ_ONLY_TRIES", 1)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    return KilledLog(tmp_path_factory.mktemp("killed"))


def both_ways(killed, states, data):
    """Read only, and with recovery: both must say something allowed. True when neither noticed anything."""
    return all([killed.question(states, read_only, **{killed.log: data}) for read_only in (True, False)])


def test_what_a_killed_writer_left_is_all_there(killed):
    assert both_ways(killed, [WHOLE], killed.data)


def test_a_flipped_bit_before_the_last_record_is_corruption(killed, rng):
    for position in places(rng, killed.last, MOST):
        unnoticed = both_ways(killed, [WHOLE], flipped(killed.data, position, rng.randrange(8)))
        assert not unnoticed, f"byte {position} of {killed.last} before the last record: flipped and not noticed"


def test_a_flipped_bit_in_the_last_record_drops_at_most_that_record(killed, rng):
    for position in places(rng, killed.end - killed.last, MOST):
        both_ways(killed, [WHOLE, WITHOUT_LAST], flipped(killed.data, killed.last + position, rng.randrange(8)))


def test_a_log_cut_in_its_last_record_is_a_torn_tail_and_opens(killed, rng):
    for position in places(rng, killed.end - killed.last, MOST // 4):
        states = [WITHOUT_LAST] if position == 0 else [WHOLE, WITHOUT_LAST]
        assert both_ways(killed, states, killed.data[: killed.last + position]), position
        zeroed = killed.data[: killed.last + position].ljust(len(killed.data), b"\0")
        assert both_ways(killed, states, zeroed), position


def test_a_log_cut_earlier_holds_whole_batches_or_is_corruption(killed, rng):
    for position in places(rng, killed.last, MOST // 2):
        both_ways(killed, STATES[1:], killed.data[:position])


def test_junk_after_the_last_record_is_a_torn_tail_and_opens(killed, rng):
    """Every first byte: some reader once looped for ever on a tail whose record type it did not know."""
    for first in range(256):
        junk = bytes((first,)) + rng.randbytes(rng.choice((0, 3, 26, 60)))
        read_only = first % 4 != 0
        assert killed.question([WHOLE], read_only, **{killed.log: killed.data[: killed.end] + junk}), junk


def test_zeros_over_the_middle_of_the_log_are_corruption(killed, rng):
    for length in (1, 8, 100):
        for _ in range(8):
            start = rng.randrange(killed.last - length)
            if any(killed.data[start : start + length]):
                assert not both_ways(killed, [WHOLE], killed.data[:start] + bytes(length) + killed.data[start + length :])


def test_a_log_repeated_after_itself_changes_nothing_or_is_corruption(killed):
    both_ways(killed, [WHOLE], killed.data[: killed.end] * 2)


def test_a_missing_live_log_is_corruption(killed):
    for read_only in (True, False):
        assert not killed.question([WHOLE], read_only, **{killed.log: None})


def test_a_log_of_another_database_is_corruption(killed, tmp_path):
    foreign = KilledLog(tmp_path)
    assert foreign.log == killed.log
    for read_only in (True, False):
        assert not killed.question([WHOLE], read_only, **{killed.log: foreign.data})


def test_recovery_of_a_torn_tail_is_for_good(killed):
    """Opened, written to and killed again, the dropped tail must not come back."""
    killed.restore()
    (killed.scratch / killed.log).write_bytes(killed.data[: killed.end - 5])
    with Child("db = lsm.open(sys.argv[1]); db[b'next'] = b'1'; print(len(db), flush=True); sys.stdin.readline()",
               killed.scratch) as child:
        assert int(child.hear()) == len(WITHOUT_LAST) + 1
        child.kill()
    with lsm.open(killed.scratch) as db:
        assert dict(db.scan()) == {**WITHOUT_LAST, b"next": b"1"}
        assert db.verify()
