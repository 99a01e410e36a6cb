"""Long runs of deleted rows and hidden versions: whoever passes over them lets others work, and hears signals."""
import signal
import sys
import threading

import lsm
import pytest

GONE = 400_000

READS = {
    "scan": lambda reader: list(reader.scan()),
    "scan back": lambda reader: list(reader.scan(reverse=True))[::-1],
    "chunks": lambda reader: [row for chunk in reader.scan_chunks() for row in chunk],
    "cursor": lambda reader: walk(reader),
    "cursor back": lambda reader: walk_back(reader),
    "len": lambda reader: [(b"", b"first"), (b"z", b"last")][:len(reader)],
}


def walk(reader):
    with reader.cursor() as cursor:
        rows, there = [], cursor.first()
        while there:
            rows.append((cursor.key, cursor.value))
            there = cursor.next()
        return rows


def walk_back(reader):
    with reader.cursor() as cursor:
        rows, there = [], cursor.last()
        while there:
            rows.append((cursor.key, cursor.value))
            there = cursor.prev()
        return rows[::-1]


@pytest.fixture(scope="module", params=["tombstones", "hidden versions", "tombstones in tables"])
def gap(request, tmp_path_factory):
    """Two rows, far apart."""
    with lsm.open(tmp_path_factory.mktemp("gap") / "db") as db:
        keys = [b"k%07d" % number for number in range(GONE)]
        db.update({b"": b"first", b"z": b"last"})
        reader = db
        if request.param == "hidden versions":
            reader = db.snapshot()
            db.write_many((key, b"later") for key in keys)
        else:
            db.write_many((key, b"") for key in keys)
            with db.snapshot():                     # so that a flush keeps them
                with db.write_batch() as batch:
                    for key in keys:
                        batch.delete(key)
                if request.param == "tombstones in tables":
                    db.flush()
                    assert sum(level.tombstones for level in db.stats().levels) == GONE
        yield reader
        if reader is not db:
            reader.close()


@pytest.fixture
def held():
    """Nobody is asked for the GIL: others have it only when it is let go of."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(100)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("way", READS)
def test_others_work_meanwhile(gap, way, held):
    assert READS[way](gap) == [(b"", b"first"), (b"z", b"last")]
    ready, ran = threading.Lock(), []
    ready.acquire()

    def other():
        with ready:
            ran.append(True)

    thread = threading.Thread(target=other)
    thread.start()
    ready.release()
    meanwhile = False
    for _ in range(300):                            # it may have no processor for a while
        READS[way](gap)
        meanwhile = meanwhile or bool(ran)
        if meanwhile:
            break
    thread.join()
    assert meanwhile


class Struck(Exception):
    pass


@pytest.mark.timeout(120, method="thread")
@pytest.mark.parametrize("way", READS)
def test_a_signal_is_heard_and_the_next_read_is_right(gap, way):
    def strike(number, frame):
        raise Struck

    before = signal.signal(signal.SIGALRM, strike)
    try:
        with pytest.raises(Struck):
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            while True:
                READS[way](gap)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert READS[way](gap) == [(b"", b"first"), (b"z", b"last")]


def test_a_scan_goes_on_where_a_handler_raised(gap):
    def strike(number, frame):
        raise Struck

    before = signal.signal(signal.SIGALRM, strike)
    try:
        for _ in range(5):
            rows, found = gap.scan(), []
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005)
                found.extend(rows)                  # in one step: a handler that raises just behind `next` takes no row along
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Struck:
                found.extend(rows)
            assert found == [(b"", b"first"), (b"z", b"last")]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
