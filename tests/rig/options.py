"""R14, R26: one list of operations under every option set and on every engine; each answer must be the model's, so all are equal.

Snapshots and scans stay open across flushes, compactions and what is written after them, and must show the moment they were
opened at. The databases are on real files, with their background threads.
"""
import random
import tempfile
from itertools import islice
from pathlib import Path

import lsm
from engines import OTHERS
from lsm.tree.compaction import Leveled, Tiered
from model import has_compression, random_key, random_range, random_value, scanned

ROW, ENGINES, ROUNDS = "R14, R26", ("lsm", "hashlog", "btree", "memory", "pylsm"), 1
HELP = "a round: 20,000 operations under each of 60 option sets (other engines: fewer; pylsm: 4,000 operations)"
OPERATIONS = {"pylsm": 4000}
HELD = 4                # snapshots, and scans under way, at a time
KINDS = {"put": 500, "delete": 120, "get": 300, "in": 50, "batch": 20, "write_many": 10, "multi_get": 20, "scan": 10, "begin scan": 6,
         "go on": 30, "snapshot": 6, "look": 12, "walk": 6, "pop": 10, "setdefault": 10, "flush": 1.5, "compact": 0.3, "reopen": 0.8}


def option_sets(engine):
    """The sets of options, the same ones each time."""
    if engine == "lsm":
        rng = random.Random("option sets")
        compressions = [name for name in ("none", "lz4", "zstd") if has_compression(name)]
        choices = {
            "memtable_bytes": (4096, 16 << 10, 64 << 10, 1 << 20), "block_bytes": (64, 256, 1024, 4096), "table_bytes":
            (4096, 16 << 10, 256 << 10), "block_cache_bytes": (0, 4096, 64 << 10, 8 << 20), "restart_interval": (1, 4, 16, 1000),
            "bloom_bits_per_key": (0, 4, 10), "compression": compressions, "last_level_compression": (None, *compressions),
            "compaction": ("leveled", "tiered", Leveled(trigger_tables=2, base_bytes=16384, ratio=2), Tiered(trigger_runs=3))}
        return [{}] + [{name: rng.choice(values) for name, values in choices.items()} for _ in range(59)]
    tiny = {"memtable_bytes": 16 << 10, "block_bytes": 256, "table_bytes": 16 << 10, "block_cache_bytes": 16 << 10}
    return {"pylsm": [{"engine": "pylsm"}, {"engine": "pylsm", **tiny}, {"engine": "pylsm", **tiny, "compaction": "tiered"}],
            "hashlog": [{"engine": "hashlog", "file_bytes": size, "merge_dead_ratio": ratio}
                        for size in (4096, 65536, 1 << 20) for ratio in (0.1, 0.5)],
            "btree": [OTHERS.get("btree", {"engine": "btree"})], "memory": [{"engine": "memory"}]}[engine]


def operations(seed, count):
    """[(kind, arguments)], and what each must answer."""
    rng, model, held, scans, told, answers = random.Random(seed), {}, [], [], [], []
    kinds = rng.choices(list(KINDS), list(KINDS.values()), k=count)
    for number, kind in enumerate(kinds):
        given, answer = (), None
        if kind in ("put", "setdefault"):
            given = random_key(rng), random_value(rng, number)
            answer = model.setdefault(*given) if kind == "setdefault" else model.update([given])
        elif kind in ("delete", "get", "in", "pop"):
            given = random_key(rng),
            answer = given[0] in model if kind == "in" else model.get(*given) if kind == "get" else model.pop(*given, None)
            answer = None if kind == "delete" else answer
        elif kind == "batch":
            given = [(random_key(rng), None if rng.random() < 0.3 else random_value(rng, number)) for _ in range(rng.randrange(12))],
            for key, value in given[0]:
                model.pop(key, None) if value is None else model.update({key: value})
        elif kind == "write_many":
            given = [(random_key(rng), random_value(rng, number)) for _ in range(rng.randrange(12))],
            answer = len(given[0])
            model.update(given[0])
        elif kind == "multi_get":
            given = [random_key(rng) for _ in range(10)],
            answer = [model.get(key) for key in given[0]]
        elif kind == "scan":
            given = random_range(rng),
            answer = scanned(model, **given[0])
        elif kind == "begin scan":
            given = rng.random() < 0.3, len(scans) == HELD
            if given[1]:
                scans.pop(0)
            scans.append([scanned(model, reverse=given[0]), 0])
        elif kind == "go on" and scans:
            given = which, steps = rng.randrange(len(scans)), rng.randrange(60)
            rows, at = scans[which]
            answer, scans[which][1] = rows[at:at + steps], at + steps
        elif kind == "snapshot":
            given = len(held) == HELD,
            if given[0]:
                held.pop(0)
            held.append(dict(model))
        elif kind == "look" and held:
            given = which, asked = rng.randrange(len(held)), random_range(rng)
            answer = scanned(held[which], **asked)
        elif kind == "walk":
            given = key, moves = random_key(rng), rng.choices(("next", "prev"), (2, 1), k=8)
            answer = walk_model(sorted(model.items()), key, moves)
        elif kind == "reopen":
            held.clear()
            scans.clear()
        if given or kind in ("flush", "compact", "reopen"):
            told.append((kind, given))
            answers.append(answer)
    return told, answers, model


def walk_model(rows, key, moves):
    at, seen = sum(found < key for found, _ in rows), []
    for move in moves:
        if not 0 <= at < len(rows):
            break
        seen.append(rows[at])
        at += 1 if move == "next" else -1
    return seen


class Player:
    """One database, asked one operation after another."""

    def __init__(self, path, options):
        self.path, self.options, self.db, self.held, self.scans = path, options, lsm.open(path, **options), [], []

    def ask(self, kind, given):
        db = self.db
        if kind == "put":
            return db.put(*given)
        if kind == "delete":
            return db.delete(*given)
        if kind == "get":
            return db.get(*given)
        if kind == "in":
            return given[0] in db
        return getattr(self, kind.replace(" ", "_"))(*given)

    def pop(self, key):
        return self.db.pop(key, None)

    def setdefault(self, key, value):
        return self.db.setdefault(key, value)

    def batch(self, changes):
        with self.db.write_batch() as batch:
            for key, value in changes:
                batch.delete(key) if value is None else batch.put(key, value)

    def write_many(self, pairs):
        return self.db.write_many(pairs)

    def multi_get(self, keys):
        return self.db.multi_get(keys)

    def scan(self, asked):
        return list(self.db.scan(**asked))

    def begin_scan(self, reverse, full):
        if full:
            self.scans.pop(0)
        self.scans.append(iter(self.db.scan(reverse=reverse)))

    def go_on(self, which, steps):
        return list(islice(self.scans[which], steps))

    def snapshot(self, full):
        if full:
            self.held.pop(0).close()
        self.held.append(self.db.snapshot())

    def look(self, which, asked):
        return list(self.held[which].scan(**asked))

    def walk(self, key, moves):
        seen = []
        with self.db.cursor() as cursor:
            there = cursor.seek(key)
            for move in moves:
                if not there:
                    break
                seen.append((cursor.key, cursor.value))
                there = getattr(cursor, move)()
        return seen

    def flush(self):
        self.db.flush()

    def compact(self):
        self.db.compact()

    def reopen(self):
        self.held.clear()
        self.scans.clear()
        if self.options.get("engine") != "memory":
            self.db.close()
            self.db = lsm.open(self.path, **self.options)


def play(engine, seed, number, tally):
    told, answers, model = operations(f"options {seed} {number}", OPERATIONS.get(engine, 20000))
    with tempfile.TemporaryDirectory(prefix="lsm-rig-") as place:
        for at, options in enumerate(option_sets(engine)):
            with tally.watching("an answer", f"[option set {at}: {options}]"):
                player = Player(Path(place) / str(at), options)
                for step, ((kind, given), expected) in enumerate(zip(told, answers, strict=True)):
                    answer = player.ask(kind, given)
                    assert answer == expected, f"operation {step}, {kind} {given}: {answer!r:.200} for {expected!r:.200}"
                player.reopen()
                assert dict(player.db.scan()) == model and len(player.db) == len(model)
                assert player.db.verify().ok
                player.db.close()
            tally.count("operations", len(told))
            tally.counts["option sets"] = max(tally.counts["option sets"], at + 1)
