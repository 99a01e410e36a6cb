"""Store: what the API needs of an engine, without ever blocking the event loop. The API parses, this delegates, the Engine does.

- Reads that come at the same time are one `multi_get` of one thread.
- Writes that come at the same time are one batch, written by the one writing thread; so what a condition sees is what is
  overwritten. Those that want it wait on for a sync, which a thread of its own makes for all of them at once; the writer
  goes on meanwhile.
- Everything else that may touch the disk goes through `run`.

Invariant: a write is answered when it survives kill -9 (as far as the engine is durable), and with `sync` the loss of power.
Owner: the store has the engine, and closes it last. Threads: methods belong to the event loop, `_read`, `_write`, `_sync` to
the threads of each.
"""
from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

import lsm
from lsm.server.budget import LARGE_BYTES, Hold
from lsm.server.conditions import Condition, etag_of, failed
from lsm.server.gathered import Asked, Gathered, Reply
from lsm.server.problems import Problem, overloaded
from lsm.server.settings import Settings

READ_THREADS = 3            # reads that wait for the disk at once
READS_AT_ONCE = 128         # in one multi_get, unless
READS_BYTES = 1 << 20       # the values are so large that a few make as much as this
DISK_THREADS = 4            # steps of scans, snapshots, stats
GROUP_BYTES = 8 << 20       # of writes in one batch
LATE_SECONDS = 0.5          # how often late answers are looked for

T = TypeVar("T")
Durability = Literal["none", "process", "disk"]
Operation = tuple[bytes, "bytes | None"]            # a key and its value, or None: delete


class Read(Asked):
    """One key to look up, in the database or a snapshot. Answered by (value, ETag), or None; a large value is in the hold, or
    answered by the problem 503."""

    __slots__ = ("key", "moment", "tagged")

    def __init__(self, key: bytes, moment: Any, tagged: bool, hold: Hold | None) -> None:
        super().__init__(hold)
        self.key = key
        self.moment = moment
        self.tagged = tagged


class Write(Asked):
    """Writes that happen together, if all conditions hold. Answered by None, or the problem 412."""

    __slots__ = ("conditions", "operations", "size", "sync")

    def __init__(self, operations: Sequence[Operation], conditions: Sequence[Condition], sync: bool, hold: Hold | None) -> None:
        super().__init__(hold)
        self.operations = operations
        self.conditions = conditions
        self.sync = sync
        self.size = sum(len(key) + len(value or b"") for key, value in operations)


class Store:
    """An engine behind threads. Made on the event loop."""

    def __init__(self, engine: lsm.Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self.traits = engine.traits
        self.key_bytes = min(settings.key_bytes, self.traits.key_bytes_max)
        self.value_bytes = min(settings.value_bytes, self.traits.value_bytes_max)
        waiting, seconds = settings.waiting, settings.answer_seconds
        self.reads = Gathered(self._read, "lsm-read", READ_THREADS, READS_AT_ONCE, waiting, seconds)
        self.writes = Gathered(self._write, "lsm-write", 1, 1024, waiting, seconds)
        self.syncs = Gathered(self._sync, "lsm-sync", 1, 1 << 20, waiting, seconds)
        self._reads_at_once = 1             # grows; each reading thread may set it, any value is right
        self._pool = ThreadPoolExecutor(DISK_THREADS, "lsm-disk")
        self._loop = asyncio.get_running_loop()
        self._look_for_late()

    # ------------------------------------------------------------ for the API

    async def get(self, key: bytes, moment: Any = None, hold: Hold | None = None) -> tuple[bytes, str] | None:
        """The value and its ETag, None when there is none. `moment`: a snapshot to look in; `hold`: grows by a large value."""
        return await self.reads.ask(Read(key, moment, True, hold))       # type: ignore[no-any-return]

    async def value(self, key: bytes, hold: Hold | None = None) -> bytes | None:
        """The value alone."""
        found = await self.reads.ask(Read(key, None, False, hold))
        return found and found[0]                                   # type: ignore[no-any-return]

    async def write(self, operations: Sequence[Operation], conditions: Sequence[Condition] = (), sync: bool = False,
                    hold: Hold | None = None) -> None:
        """All of them or none. Raises the problem 412 when a condition does not hold. `hold` has the bytes of the operations, and
        is kept until no thread has them any more."""
        await self.writes.ask(Write(operations, conditions, sync or self.settings.sync, hold))

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Something that may touch the disk, in a thread."""
        return await self._loop.run_in_executor(self._pool, work, *arguments)

    def durability(self, sync: bool) -> Durability:
        """What a write that was answered survives: "none", "process" (kill -9), "disk" (the loss of power)."""
        if not self.traits.durable:
            return "none"
        return "disk" if sync or self.settings.sync else "process"

    # ------------------------------------------------------------ in threads

    def _read(self, reads: list[Read], reply: Reply) -> None:
        """A few at a time after large values: what is read is in memory before it can be counted."""
        while reads:
            part, reads = reads[:self._reads_at_once], reads[self._reads_at_once:]
            answers, size = self._read_together(part)
            self._reads_at_once = max(1, min(2 * self._reads_at_once, READS_BYTES * len(part) // (size + 1), READS_AT_ONCE))
            reply(list(zip(part, answers)))

    def _read_together(self, reads: list[Read]) -> tuple[list[Any], int]:
        """The answers, and how many bytes were read for them."""
        answers: list[Any]
        size = 0
        try:
            if all(read.moment is None for read in reads):
                answers = self.engine.multi_get([read.key for read in reads])
            else:
                answers = [self._look_up(read) for read in reads]
        except Exception:
            answers = [self._attempt(read) for read in reads]       # each gets its own error, and no other's
        for index, (read, value) in enumerate(zip(reads, answers)):
            if isinstance(value, bytes):
                size += len(value)
                answers[index] = _counted(read, value) or (value, etag_of(value) if read.tagged else "")
        return answers, size

    def _look_up(self, read: Read) -> bytes | None:
        return (self.engine if read.moment is None else read.moment).get(read.key)     # type: ignore[no-any-return]

    def _attempt(self, read: Read) -> Any:
        try:
            return self._look_up(read)
        except Exception as error:
            return error

    def _write(self, writes: list[Write], reply: Reply) -> None:
        while writes:
            size = count = 0
            for write in writes:
                if count and size + write.size > GROUP_BYTES:
                    break
                size += write.size
                count += 1
            self._write_group(writes[:count], reply)
            writes = writes[count:]

    def _write_group(self, writes: list[Write], reply: Reply) -> None:
        answers: list[tuple[Any, Any]] = []
        accepted = writes
        if any(write.conditions for write in writes):
            accepted = []
            written: dict[bytes, bytes | None] = {}                 # by those before, in this group
            for write in writes:
                try:
                    if not all(one.holds(self._current(one.key, written)) for one in write.conditions):
                        answers.append((write, failed()))
                        continue
                except Exception as error:
                    answers.append((write, error))
                    continue
                written.update(write.operations)
                accepted.append(write)
        try:
            if len(accepted) == 1 and len(accepted[0].operations) == 1:
                key, value = accepted[0].operations[0]
                if value is None:
                    self.engine.delete(key)
                else:
                    self.engine.put(key, value)
            elif accepted:
                self.engine.write([operation for write in accepted for operation in write.operations])
        except BaseException as error:
            if len(writes) > 1 and isinstance(error, (TypeError, ValueError)):      # one of them cannot be: the others can
                for write in writes:
                    self._write_group([write], reply)
                return
            answers = [(write, error) for write in writes]          # a 412 too: it may have come from what was not written
        else:
            answers += [(write, None) for write in accepted if not write.sync]
            if lasting := [write for write in accepted if write.sync]:
                self.syncs.hand(lasting)
        reply(answers)

    def _current(self, key: bytes, written: dict[bytes, bytes | None]) -> bytes | None:
        return written[key] if key in written else self.engine.get(key)        # type: ignore[no-any-return]

    def _sync(self, writes: list[Write], reply: Reply) -> None:
        self.engine.sync()
        reply([(write, None) for write in writes])

    # ------------------------------------------------------------ time and ending

    def _look_for_late(self) -> None:
        self.reads.give_up_late()
        self.writes.give_up_late()
        self._timer = self._loop.call_later(LATE_SECONDS, self._look_for_late)

    async def close(self) -> None:
        """Finish what was accepted, then close the engine."""
        self._timer.cancel()
        for stage in (self.reads, self.writes, self.syncs):         # in this order: a write goes on to be synced
            await asyncio.to_thread(stage.close)
        await asyncio.to_thread(self._pool.shutdown)
        await asyncio.to_thread(self.engine.close)


def _counted(read: Read, value: bytes) -> Problem | None:
    """Takes a large value into the hold; the problem 503 when there is no room for it."""
    hold = read.hold
    if hold is None or len(value) < LARGE_BYTES or hold.try_grow(len(value)):
        return None
    return overloaded("too many bytes are on their way at once, in all or of yours: try again")
