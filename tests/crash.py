"""The states a crash may leave, rebuilt from the journal of a SimulatedDirectory; and the one oracle of crash tests.

    directory = SimulatedDirectory()
    ...  directory.mark("started", i); write i; directory.mark("synced", i)  (or "acknowledged" when not synced)
    for state in states(directory.journal(), "weak"):
        contents = whatever recovery reads from SimulatedDirectory(state.files)
        check_recovered(history, *state.bounds, contents)

Every operation is taken apart into changes: a file's size, a piece of its bytes (cut at 4096-byte pages), a name made,
replaced or removed. A change is durable once the right sync succeeded after it, and pending until then; a crash
leaves all durable changes and any of the pending ones. Two models of a file system:

- "weak": all that POSIX promises. A file's changes need a sync of that file, a name needs a sync of its directory. A size
  may be durable before the bytes (then they are zeros, or junk).
- "ext4": names become durable in the order they were made, and any sync makes all earlier ones durable; a file grows with
  its bytes, so that there is never junk, and zeros only where room was prepared or an earlier page is missing.

In both, what was pending for a file when its sync failed stays uncertain for ever: no later sync saves it.
"""
import random
from typing import NamedTuple

PAGE = 4096
SECTOR = 512
SUBSETS = 8             # up to so many pending changes all their subsets are made, beyond, 16 random ones
SINGLES = 32            # at most so many "all but one" and "none but one" of a crash point

CHANGING = {"create", "append", "allocate", "truncate", "sync", "rename", "unlink", "link", "sync_directory"}


class State(NamedTuple):
    point: int              # the crash is just before operation number `point` of the journal
    description: str
    files: dict             # name -> bytes
    bounds: tuple           # (lo, hi): check_recovered's


class Change:
    """One thing that reaches the disk whole or not at all. `key` is what a sync must name to make it durable."""
    __slots__ = ("kind", "key", "name", "node", "offset", "data", "lost", "number")

    def __init__(self, kind, key, name="", node=0, offset=0, data=b""):
        self.kind, self.key, self.name, self.node, self.offset, self.data = kind, key, name, node, offset, data
        self.lost = False       # a failed sync passed over it
        self.number = 0         # position in the order of changes

    def __repr__(self):
        place = self.name if self.kind in ("name", "unname", "rename") else f"inode {self.node} at {self.offset}"
        return f"{self.kind} {place}{f' ({len(self.data)} bytes)' if self.data else ''}"

    def with_data(self, data):
        other = Change(self.kind, self.key, self.name, self.node, self.offset, data)
        other.number = self.number
        return other


def bounds(journal):
    """(lo, hi) at the end of this part of a journal: the last write known durable, the last one started."""
    lo = hi = 0
    for operation in journal:
        if operation.kind == "mark":
            if operation.name == "synced":
                lo = max(lo, operation.offset)
            elif operation.name == "started":
                hi = max(hi, operation.offset)
    return lo, hi


def process_bounds(journal):
    """The same for a crash of the process alone: what was acknowledged, synced or not, is kept."""
    lo, hi = bounds(journal)
    acknowledged = [o.offset for o in journal if o.kind == "mark" and o.name == "acknowledged"]
    return max([lo, *acknowledged]), hi


def changes_of(operation, model, size):
    """What the operation does to the disk; `size` is the file's before it."""
    file, directory = ("file", operation.node), ("directory", operation.folder)
    if operation.kind == "create":
        return [Change("name", directory, operation.name, operation.node)]
    if operation.kind == "link":
        return [Change("name", directory, operation.name, operation.node)]
    if operation.kind == "unlink":
        return [Change("unname", directory, operation.name, operation.node)]
    if operation.kind == "rename":
        return [Change("rename", directory, operation.name, operation.node, data=operation.other)]
    if operation.kind == "truncate":
        return [Change("cut", file, node=operation.node, offset=operation.offset)]
    if operation.kind == "allocate":
        return [Change("size", file, node=operation.node, offset=operation.offset)]
    if operation.kind == "append":
        end = operation.offset + len(operation.data)
        grow = [Change("size", file, node=operation.node, offset=end)] if model == "weak" and end > size else []
        return grow + [Change("bytes", file, node=operation.node, offset=at, data=data)
                       for at, data in pieces(operation.offset, operation.data, PAGE)]
    return []


def pieces(offset, data, size):
    """`data` at `offset`, cut at the multiples of `size`."""
    at = 0
    while at < len(data):
        step = min(len(data) - at, size - (offset + at) % size)
        yield offset + at, data[at:at + step]
        at += step


class Disk:
    """Durable files and names, and the changes not yet known durable, in order."""

    def __init__(self, model):
        self.model = model
        self.nodes = {}             # number -> bytes; durable
        self.names = {}             # (directory, name) -> node; durable
        self.changes = []           # pending, and durable ones that follow a pending one they must not overtake
        self.durable = set()        # numbers of the latter
        self.count = 0
        self.sizes = {}             # number -> size as the running process sees it

    def take(self, operation):
        """One more operation happened."""
        if operation.kind == "initial":
            self.nodes[operation.node] = operation.data
            self.sizes[operation.node] = len(operation.data)
            self.names["directory", operation.folder, operation.name] = operation.node
        elif operation.kind in ("sync", "sync_directory"):
            self.sync(operation)
        elif operation.result == 0:
            size = self.sizes.get(operation.node, 0)
            for change in changes_of(operation, self.model, size):
                self.count += 1
                change.number = self.count
                self.changes.append(change)
            if operation.kind in ("truncate", "allocate"):
                self.sizes[operation.node] = operation.offset
            elif operation.kind == "append":
                self.sizes[operation.node] = max(size, operation.offset + len(operation.data))

    def sync(self, operation):
        key = ("file", operation.node) if operation.kind == "sync" else ("directory", operation.folder)
        for change in self.changes:
            if change.lost or change.number in self.durable:
                continue
            named = change.kind in ("name", "unname", "rename")
            if change.key == key or (self.model == "ext4" and named and operation.result == 0):
                if operation.result == 0:
                    self.durable.add(change.number)
                else:
                    change.lost = True
        self.fold()

    def fold(self):
        """Make the base of every durable change that follows no pending one of the same file or directory."""
        blocked, rest = set(), []
        for change in self.changes:
            if change.number in self.durable and change.key not in blocked:
                apply(self.nodes, self.names, change)
                self.durable.discard(change.number)
            else:
                blocked.add(change.key)
                rest.append(change)
        self.changes = rest

    def pending(self):
        return [change for change in self.changes if change.number not in self.durable]

    def files(self, chosen, folder, instead=None):
        """The files of `folder` when of the pending changes those numbered in `chosen` got through."""
        nodes, names = self.nodes.copy(), self.names.copy()
        for change in self.changes:
            if change.number in chosen or change.number in self.durable:
                if instead is not None and instead.number == change.number:
                    change = instead
                apply(nodes, names, change)
        return {key[2]: nodes.get(node, b"") for key, node in names.items() if key[1] == folder}


def apply(nodes, names, change):
    if change.kind == "name":
        names[(*change.key, change.name)] = change.node
    elif change.kind == "unname":
        names.pop((*change.key, change.name), None)
    elif change.kind == "rename":
        names.pop((*change.key, change.name), None)
        names[(*change.key, change.data)] = change.node
    else:
        content = nodes.get(change.node, b"")
        if change.kind == "cut":
            nodes[change.node] = content[:change.offset]
        elif change.kind == "size":
            nodes[change.node] = content.ljust(change.offset, b"\0")
        else:
            content = content.ljust(change.offset, b"\0")
            nodes[change.node] = content[:change.offset] + change.data + content[change.offset + len(change.data):]


def allowed(disk, chosen, pending):
    """ext4: names in order, so a chosen one brings with it all that were made before."""
    if disk.model != "ext4":
        return frozenset(chosen)
    named = [change.number for change in pending if change.kind in ("name", "unname", "rename")]
    last = max((number for number in named if number in chosen), default=0)
    return frozenset(chosen) | {number for number in named if number <= last}


def selections(pending, rng):
    """(description, numbers that got through): none, all, all but one, one alone, subsets."""
    everything = frozenset(change.number for change in pending)
    yield "nothing pending got through", frozenset()
    if not pending:
        return
    yield "everything pending got through", everything
    singles = pending
    if len(pending) > SINGLES:
        singles = sorted(rng.sample(pending[:-SINGLES // 2], SINGLES // 2), key=lambda c: c.number) + pending[-SINGLES // 2:]
    for change in singles:
        yield f"all but: {change}", everything - {change.number}
        yield f"none but: {change}", frozenset([change.number])
    if len(pending) <= SUBSETS:
        for bits in range(1, 2 ** len(pending) - 1):
            yield f"subset {bits:b}", frozenset(c.number for i, c in enumerate(pending) if bits >> i & 1)
    else:
        for i in range(16):
            share = (0.25, 0.5, 0.75)[i % 3]
            yield f"random subset {i}", frozenset(c.number for c in pending if rng.random() < share)


def torn(change, model, rng):
    """The last write, cut: (description, the change as it got through)."""
    data = change.data
    sectors = [at - change.offset for at, _ in pieces(change.offset, data, SECTOR)][1:]
    cuts = {len(data) // 2, len(data) - 1, 1, *sectors[:1], *sectors[-1:]} - {0, len(data)}
    for cut in sorted(cuts):
        yield f"last write torn: head of {cut}", change.with_data(data[:cut])
        if model == "weak":
            yield f"last write torn: tail from {cut}", change.with_data(bytes(cut) + data[cut:])
    if model == "weak":
        yield "last write is zeros", change.with_data(bytes(len(data)))
        yield "last write is junk", change.with_data(rng.randbytes(len(data)))
        yield "last write ends in junk", change.with_data(data[:len(data) // 2] + rng.randbytes(len(data) - len(data) // 2))


def states(journal, model, folder=0, seed=0, start=0):
    """Every distinct state a power cut may leave at each point of the journal from `start` on, as State.

    Distinct by their files; the same files come again when more is promised of them (when only more is possible, what
    was right stays right).
    """
    if model not in ("weak", "ext4"):
        raise ValueError(f"model {model!r}: weak or ext4")
    rng = random.Random(seed)
    disk, promised = Disk(model), {}
    lo = hi = 0
    for point in range(len(journal) + 1):
        last = journal[point - 1] if point else None
        before = lo
        if last is not None:
            disk.take(last)
            if last.kind == "mark":
                lo, hi = max(lo, last.offset * (last.name == "synced")), max(hi, last.offset * (last.name == "started"))
        if point < len(journal) and journal[point].kind == "initial":
            continue                    # nothing has happened yet
        if point < start or (last is not None and last.kind not in CHANGING and lo == before and point > start):
            continue
        for description, files in at_point(disk, last, folder, rng):
            key = digest(files)
            if promised.get(key, -1) < lo:
                promised[key] = lo
                yield State(point, description, files, (lo, hi))


def at_point(disk, last, folder, rng):
    pending = disk.pending()
    done = set()
    for description, chosen in selections(pending, rng):
        chosen = allowed(disk, chosen, pending)
        if chosen not in done:
            done.add(chosen)
            yield description, disk.files(chosen, folder)
    if last is None or last.kind != "append" or not pending or pending[-1].kind != "bytes":
        return
    everything = frozenset(change.number for change in pending)
    for description, instead in torn(pending[-1], disk.model, rng):
        yield description, disk.files(everything, folder, instead)
        yield f"{description}, nothing else", disk.files(allowed(disk, {instead.number}, pending), folder, instead)


def digest(files):
    """What tells states apart. Bytes remember their hash, and states share most of theirs: this costs next to nothing."""
    return tuple((name, len(files[name]), hash(files[name])) for name in sorted(files))


def check_recovered(history, lo, hi, contents):
    """`contents` must be what the store held after p writes, history[p], for some lo <= p <= hi. Answers that p.

    That one equality says that nothing acknowledged is lost, nothing half-done is seen, nothing deleted comes back, and
    that there is no hole.
    """
    for p in range(hi, lo - 1, -1):
        if history[p] == contents:
            return p
    raise AssertionError(_difference(history, lo, hi, contents))


def _difference(history, lo, hi, contents):
    matching = [p for p in range(len(history)) if history[p] == contents]
    if matching:
        p = matching[-1]
        what = "acknowledged, synced writes are lost" if p < lo else "writes not yet started are there"
        return f"recovered the state after write {p}, but it must be one of {lo}..{hi}: {what}"
    nearest = min(range(lo, hi + 1), key=lambda p: (len(_differing(history[p], contents)), -p))
    keys = sorted(_differing(history[nearest], contents))
    lines = [f"  {key!r}: expected {_shown(history[nearest], key)}, found {_shown(contents, key)}" for key in keys[:8]]
    if len(keys) > 8:
        lines.append(f"  ... and {len(keys) - 8} more")
    return "\n".join([f"recovered contents are the state after no write at all; nearest of {lo}..{hi} is {nearest}:", *lines])


def _differing(one, other):
    return {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}


def _shown(contents, key):
    if key not in contents:
        return "nothing"
    value = contents[key]
    return repr(value) if len(value) <= 24 else f"{value[:20]!r}... ({len(value)} bytes)"
