"""Jobs: work that takes long: compact, flush, verify, checkpoint. One at a time, in a thread of its own, in the order asked for.

A checkpoint gets its name from the client, its directory from the operator: nothing a client says is a path. It is made whole beside
its place and then given its name: what is there under a name is whole, and a job removes nothing but what it made itself, also when
two servers share the directory. One that was killed leaves a directory whose name begins with a dot.
Threads: the event loop; the work runs in the thread.
"""
from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsm.errors import CorruptionError
from lsm.place import bytes_in, sizes_in
from lsm.server import problems
from lsm.server.problems import Problem, bad_request, not_found
from lsm.server.store import Store
from lsm.server.text import base64url
from lsm.staging import give_name

logger = logging.getLogger("lsm.server")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}(\.[A-Za-z0-9_-]{1,32})*")
DAMAGE_TOLD = 20            # places of damage that a job lists
KINDS = ("compact", "flush", "verify", "checkpoint")


@dataclass
class Job:
    """One piece of work and how far it is. Changed by the event loop alone."""

    kind: str
    target: Path | None = None
    name: str = field(default_factory=lambda: secrets.token_urlsafe(8))
    state: str = "waiting"                  # running, done, failed
    asked: float = field(default_factory=time.time)
    started: float | None = None
    seconds: float = 0.0
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    there: frozenset[str] = frozenset()     # files of the database when it began
    read: int = 0                           # bytes that were verified; its thread counts them
    of_bytes: int = 0

    @property
    def staging(self) -> Path:
        """Where its checkpoint is made."""
        assert self.target is not None
        return self.target.with_name(f".{self.target.name}.{self.name}")


class Jobs:
    """The jobs of a server: those that wait, the one that runs, the last ones that ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._jobs: dict[str, Job] = {}
        self._thread = ThreadPoolExecutor(1, "lsm-job")
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Those that are not over."""
        return sum(job.state in ("waiting", "running") for job in self._jobs.values())

    def all(self) -> list[Job]:
        """The oldest first."""
        return list(self._jobs.values())

    def find(self, name: str) -> Job:
        """Raises the problem 404."""
        job = self._jobs.get(name)
        if job is None:
            raise not_found("there is no such job; the last ones are kept")
        return job

    async def ask(self, kind: str, checkpoint: str | None = None) -> Job:
        """Begin a job, or let it wait for those before it."""
        settings = self._store.settings
        if kind in self._store.traits.refused:
            raise Problem(501, "not_offered", f"the engine {self._store.traits.engine!r} has no {kind}: "
                                              f"{self._store.traits.refused[kind]}")
        target = None
        if kind == "checkpoint":
            target = self._target(checkpoint)
            if await self._store.run(os.path.lexists, target) or any(
                    job.target == target for job in self._jobs.values() if job.state in ("waiting", "running")):
                raise Problem(409, "exists", "there is a checkpoint of that name: give another name")
        if len(self) > settings.jobs_waiting:
            raise Problem(429, "too_many_jobs", f"{settings.jobs_waiting} jobs wait already", {"Retry-After": "10"})
        job = Job(kind, target)
        self._jobs[job.name] = job
        over = [job.name for job in self._jobs.values() if job.state in ("done", "failed")]
        for name in over[:max(0, len(self._jobs) - settings.jobs_kept)]:
            del self._jobs[name]
        task = asyncio.get_running_loop().create_task(self._carry_out(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    def _target(self, name: str | None) -> Path:
        directory = self._store.settings.checkpoints
        if directory is None:
            raise Problem(403, "no_checkpoints", "this server makes no checkpoints: start it with --checkpoints DIRECTORY")
        if name is None or not NAME.fullmatch(name):
            raise bad_request("bad_name", "name the checkpoint with letters, digits, - and _, and dots between them")
        return directory / name

    async def _carry_out(self, job: Job) -> None:
        loop = asyncio.get_running_loop()
        try:
            job.result = await loop.run_in_executor(self._thread, self._work_of(job, loop))
            job.state = "done"
        except asyncio.CancelledError:
            job.state, job.error = "failed", {"error": "closed", "detail": "the server is stopping"}
        except BaseException as error:
            problem = problems.of(error)
            job.state, job.error = "failed", {"error": problem.code, "detail": problem.detail}
        if job.started is not None:
            job.seconds = time.monotonic() - job.started

    def _work_of(self, job: Job, loop: asyncio.AbstractEventLoop) -> Callable[[], dict[str, Any]]:
        engine = self._store.engine

        def begin() -> None:
            job.state, job.started = "running", time.monotonic()

        def work() -> dict[str, Any]:
            files = self._files()
            job.there, job.of_bytes = frozenset(files), sum(files.values())
            loop.call_soon_threadsafe(begin)
            if job.target is not None:
                return _checkpoint(engine, job.target, job.staging)
            if job.kind == "verify":
                report = engine.verify(progress=lambda read: setattr(job, "read", read))
                return {"ok": report.ok, "files": report.files, "bytes": report.bytes, "damaged": len(report.damage),
                        "damage": [_told(damage) for damage in report.damage[:DAMAGE_TOLD]]}
            {"compact": engine.compact, "flush": engine.flush}[job.kind]()
            return {"bytes": getattr(engine.stats(), "bytes", 0)}

        return work

    def _done(self, job: Job) -> int:
        """Bytes so far: of the copy, of files that were not there before, or read."""
        if job.target is not None:
            return bytes_in(job.staging)
        if job.kind == "verify":
            return job.read
        return sum(size for name, size in self._files().items() if name not in job.there)

    def _files(self) -> dict[str, int]:
        """Bytes of each file of the database."""
        return sizes_in(self._store.engine.path) if self._store.traits.durable else {}

    async def told(self, job: Job) -> dict[str, Any]:
        """The job as JSON."""
        done = await self._store.run(self._done, job) if job.state == "running" else 0
        if job.state == "done":
            done = job.of_bytes
        seconds = job.seconds if job.started is None or job.state != "running" else time.monotonic() - job.started
        return {
            "id": job.name, "kind": job.kind, "name": job.target.name if job.target else None, "state": job.state,
            "progress": {"done_bytes": min(done, job.of_bytes), "of_bytes": job.of_bytes, "seconds": round(seconds, 3)},
            "result": job.result, "error": job.error,
        }

    async def close(self) -> None:
        """Those that wait are dropped. The one that runs has its time; then the closing of the database ends it, which loses
        nothing."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._store.settings.stop_seconds)


def _checkpoint(engine: Any, target: Path, staging: Path) -> dict[str, Any]:
    os.mkdir(staging, 0o700)            # its name is of this job alone
    try:
        engine.checkpoint(staging)
        size = bytes_in(staging)
        try:
            os.mkdir(target, 0o700)     # whoever makes it has the name
        except FileExistsError:
            raise Problem(409, "exists", "there is a checkpoint of that name meanwhile: give another name") from None
        try:
            give_name(str(staging), str(target))        # in the place of the empty directory
        except BaseException:
            _remove_empty(target)
            raise
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return {"bytes": size}


def _remove_empty(target: Path) -> None:
    try:
        os.rmdir(target)
    except OSError:
        pass


def _told(damage: CorruptionError) -> dict[str, Any]:
    """A place of damage, told and logged. Keys are base64url; None where there is no bound."""
    logger.error("verify: %s", damage)
    low, high = damage.keys or (None, None)
    return {"file": os.path.basename(damage.path), "offset": damage.offset, "first_key_b64": None if low is None else base64url(low),
            "last_key_b64": None if high is None else base64url(high)}
