"""A directory in memory behind the names of lsm.tree.manifest.Directory, which notes each step."""

from __future__ import annotations

import errno

from lsm.errors import StorageError


class MemoryDirectory:
    path = "/data"

    def __init__(self, files: dict[str, bytes] | None = None, fail_at: int = -1) -> None:
        self.files = dict(files or {})
        self.steps: list[str] = []
        self.fail_at = fail_at  # this step fails, and whatever follows

    def _step(self, text: str, absent: str = "", present: str = "") -> None:
        if 0 <= self.fail_at <= len(self.steps):
            raise StorageError(errno.EIO, "injected", text)
        assert absent not in self.files and (not present or present in self.files), text
        self.steps.append(text)

    def create(self, name: str, data: bytes) -> None:
        self._step(f"create {name}", absent=name)
        self.files[name] = data

    def read(self, name: str) -> bytes:
        return self.files[name]

    def rename(self, old: str, new: str) -> None:
        self._step(f"rename {old} {new}", present=old)
        self.files[new] = self.files.pop(old)

    def sync(self) -> None:
        self._step("sync")

    def unlink(self, name: str) -> None:
        self._step(f"unlink {name}", present=name)
        del self.files[name]

    def list(self) -> list[str]:
        return sorted(self.files)
