"""YCSB's six mixes by a generator of our own, deterministic by the seed (Cooper et al., SoCC 2010).

  a  half reads, half updates          b  95 % reads, 5 % updates        c  reads only
  f  half reads, half read-modify-write d  95 % reads of the newest, 5 % inserts
  e  95 % scans of 1 to 100 rows (uniform), 5 % inserts

Which record: Zipf with exponent 0.99, drawn exactly from the cumulated weights of the ranks, no approximation. The
keys are random bytes, so rank i is simply the i-th key written: hot records lie scattered over the key space, what
YCSB scrambles ranks for. In d, rank 0 is the record inserted last. Every operation is drawn before the clock starts.

They run in this order on one database, filled one by one: a, b, c, f, d, e. What is read is not compared inside the
loop; after it, every row is held against a dict that made the same changes.
"""

from itertools import accumulate

from records import ValuePool, random_keys
from workloads.session import MOST_READS, SEEKS, Measure, Session

EXPONENT = 0.99
MOST_SCANNED = 100
MIXES = {"a": 0.5, "b": 0.05, "c": 0.0, "f": 0.5, "d": 0.05, "e": 0.05}  # share of operations that write
LOOPS = {"e": "scan_or_put_each", "f": "modify_each"}


class Zipf:
    """Ranks 0 .. count-1, rank r with a weight of 1 / (r + 1) ** EXPONENT."""

    def __init__(self, count: int) -> None:
        self.ranks = range(count)
        self.weights = list(accumulate(1 / (rank + 1) ** EXPONENT for rank in self.ranks))

    def draw(self, rng, count: int) -> list[int]:
        return rng.choices(self.ranks, cum_weights=self.weights, k=count)


class Records:
    """What the database should hold: the keys in the order they were written, and values that differ from the pool's."""

    def __init__(self, session: Session) -> None:
        self.keys = list(session.keys)
        self.zipf = Zipf(len(self.keys))
        self.changed: dict[bytes, bytes] = {}
        self.inserted = 0

    def insert(self, session: Session) -> bytes:
        if not self.inserted % 1000:
            self.spare = random_keys(1000, session.seed + 1_000_003 + self.inserted)
        self.keys.append(self.spare[self.inserted % 1000])
        self.inserted += 1
        return self.keys[-1]

    def value_of(self, pool: ValuePool, key: bytes) -> bytes:
        return self.changed.get(key) or pool.of(key)


def run(session: Session, letter: str) -> Measure:
    records = session.shared.setdefault("ycsb", None) or Records(session)
    session.shared["ycsb"] = records
    operations = session.make(draw, session, records, letter)
    loop = getattr(session.store, LOOPS.get(letter, "mixed_each"))
    measure = session.timed(len(operations), loop, operations)
    session.check_rows(sorted(records.keys), lambda key: records.value_of(session.pool, key))
    return measure


def draw(session: Session, records: Records, letter: str) -> list[tuple]:
    """The operations of one mix, and the changes they make to `records`."""
    count = min(session.records, SEEKS if letter == "e" else MOST_READS)
    rng, share = session.rng, MIXES[letter]
    ranks, writes = records.zipf.draw(rng, count), [rng.random() < share for _ in range(count)]
    operations = []
    for rank, write in zip(ranks, writes):
        if write and letter in "de":
            key = records.insert(session)
        else:
            key = records.keys[-1 - rank] if letter == "d" else records.keys[rank]
        if write:
            value = records.changed[key] = session.newer.values[len(operations) % len(session.newer.values)]
            operations.append((bytes(bytearray(key)), value))
        else:
            operations.append((bytes(bytearray(key)), rng.randint(1, MOST_SCANNED) if letter == "e" else None))
    return operations
