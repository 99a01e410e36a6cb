"""The faults that are planted to try the rig: each a change of one place in the source, and what must notice it.

A change of Python is made in a copy of the package of its own. Those of the core go all into one build, behind `lsm_planted(n)`,
and one is switched on by the environment when it runs. `old` must stand in its file exactly once; when the source has
moved on, its round says so. `by` is what must notice: a row of the rig with its engine, or files of tests.
"""
from typing import NamedTuple


class Fault(NamedTuple):
    name: str
    file: str                   # below src/lsm
    old: str
    new: str
    by: tuple                   # ("power", "lsm") or ("tests/test_x.py",)
    rounds: int = 3


# Not on the list, since another sync of the directory always follows before anything relies on it: the syncs of the names of
# new logs and of finished tables.
POWER, OPTIONS, FAULTS = ("power", "lsm"), ("options", "lsm"), ("faults", "lsm")
PLAIN, HASHED = ("power", "pylsm"), ("power", "hashlog")

OF_PYTHON = (
    Fault("a manifest's name is not synced before CURRENT names it", "tree/manifest.py",
          "encode(state))\n    directory.sync()\n", "encode(state))\n", POWER),
    Fault("the switch of CURRENT is not synced", "tree/manifest.py",
          "directory.rename(CURRENT_NEW, CURRENT)\n    directory.sync()", "directory.rename(CURRENT_NEW, CURRENT)", POWER),
    Fault("CURRENT is removed, then made anew", "tree/manifest.py",
          "    directory.rename(CURRENT_NEW, CURRENT)\n",
          "    if CURRENT in directory.list():\n        directory.unlink(CURRENT)\n    directory.rename(CURRENT_NEW, CURRENT)\n",
          POWER),
    Fault("a manifest's checksum is not compared", "tree/manifest.py",
          "if checksum(data[:header.start(2)] + text) != header[2]:", "if False:", ("tests/test_manifest.py",)),
    Fault("a log goes before the manifest that does without it", "tree/tree.py",
          "            self._write_manifest(state)\n            self.tables,",
          "            if flushed is not None:\n                self.directory.unlink(log_name(flushed.log))\n"
          "            self._write_manifest(state)\n            self.tables,", POWER),
    Fault("inputs of a merge go before the manifest", "tree/tree.py",
          "            self._write_manifest(state)\n            self.tables,",
          "            for number in gone:\n                self.directory.unlink(table_name(number))\n"
          "            self._write_manifest(state)\n            self.tables,", POWER),
    Fault("the last sequence is not kept", "tree/tree.py",
          "last_sequence=max(state.last_sequence, flushed.memtable.last_sequence))", "last_sequence=state.last_sequence)", POWER),
    Fault("after a failed switch writes go on", "tree/tree.py",
          "                self.store._fail(error)         #", "                pass    #", FAULTS),
    Fault("watermarks are not compared with what was recovered", "tree/recovery.py",
          "    if synced > sequence:", "    if False:", ("tests/test_log_damage.py", "tests/test_damage_log.py")),
    Fault("the newest log is not replayed", "tree/recovery.py",
          "for number in state.logs], state", "for number in state.logs[:-1]], state", POWER),
    Fault("tombstones go though something older lies beneath", "tree/compact.py",
          "bottom=choice.last_level", "bottom=True", OPTIONS),
    Fault("merges do not ask what snapshots see", "tree/compact.py", "tree.store._moments, bottom", "list, bottom", OPTIONS),
    Fault("a child of fork may use the database", "lifecycle.py",
          "        db._close_gate(forked=True)\n", "", ("tests/test_fork.py",)),
    Fault("pylsm: a new log's bytes are not synced", "_pycore/log.py",
          "            self._file.sync()\n            directory.sync()\n", "            directory.sync()\n", PLAIN),
    Fault("pylsm: a record's checksum is not compared", "_pycore/record.py",
          "if end > len(log) or crc != masked_crc(memoryview(log)[at + 4:end]):", "if end > len(log):", PLAIN),
    Fault("pylsm: only the newest log is synced", "_pycore/group_sync.py",
          "            if log.synced_whole:", "            if log is not logs[-1]:", PLAIN, 8),
    Fault("pylsm: after a failure writes go on", "_pycore/gate.py",
          "        self._bars.add(GATE_FAILED_FLAG)\n", "", ("faults", "pylsm")),
    Fault("pylsm: every tombstone at the bottom of a merge goes", "_pycore/retain.py",
          "        if bottom and stratum == 0:", "        if stratum == 0:", ("options", "pylsm")),
    Fault("hashlog: the switch of the marker is not synced", "engines/hashlog/manifest.py",
          "directory.rename(MARKER_NEW, MARKER)\n    directory.sync()", "directory.rename(MARKER_NEW, MARKER)", HASHED),
    Fault("hashlog: merged files' names are not synced", "engines/hashlog/merge.py",
          "        if outputs:\n            files.directory.sync()\n", "", HASHED),
    Fault("hashlog: what overwrote is not synced before a merge is installed", "engines/hashlog/merge.py",
          "        store._sync_logs()\n", "", HASHED, 24),
    Fault("hashlog: deletions go though something older lies beneath", "engines/hashlog/merge.py",
          "    drop_below = oldest_beside(state.files, (file.number for file in inputs))",
          "    drop_below = NOTHING_OLDER", HASHED, 8),
    Fault("hashlog: the marker's checksum is not compared", "engines/hashlog/manifest.py",
          "    if checksum(data[:header.start(2)] + text) != header[2]:", "    if False:", ("damage", "hashlog"), 1),
    Fault("CURRENT's checksum is not compared", "tree/manifest.py",
          "    if number is None or data != encode_current(number):", "    if number is None:", ("damage", "lsm"), 1),
    Fault("CURRENT names a manifest before it is there", "tree/manifest.py",
          "    directory.create(manifest_name(state.number), encode(state))\n    directory.sync()\n",
          "    directory.create(CURRENT_NEW, encode_current(state.number))\n    directory.rename(CURRENT_NEW, CURRENT)\n"
          "    directory.create(manifest_name(state.number), encode(state))\n    directory.sync()\n", POWER),
    Fault("pylsm: a block's checksum is not compared", "_pycore/table_format.py",
          "    if masked_crc(memoryview(sealed)[:-4]) != int.from_bytes(sealed[-4:], \"little\"):", "    if False:",
          ("damage", "pylsm"), 1),
    Fault("pylsm: the lock is not taken", "_pycore/directory.py",
          "            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n", "            pass\n", ("tests/test_engines.py",)),
)

OF_CORE = (
    Fault("a record's checksum is not compared", "core/record.pxd",
          "    return get_fixed32(at) == crc_mask(crc32c(0, at + 4, total - 4))",
          "    return lsm_planted(PLANT) or get_fixed32(at) == crc_mask(crc32c(0, at + 4, total - 4))", POWER),
    Fault("a block's checksum is not compared", "core/block_format.pxd",
          "    if crc_mask(crc32c(0, at, size - 4)) != get_fixed32(at + size - 4):",
          "    if not lsm_planted(PLANT) and crc_mask(crc32c(0, at, size - 4)) != get_fixed32(at + size - 4):",
          ("tests/test_table_damage.py",)),
    Fault("a footer's checksum is not compared", "core/table_format.pxd",
          "    if crc_mask(crc32c(0, at, 52)) != get_fixed32(at + 52):",
          "    if not lsm_planted(PLANT) and crc_mask(crc32c(0, at, 52)) != get_fixed32(at + 52):", ("tests/test_table_damage.py",)),
    Fault("a table of another number is taken", "core/table_open.pxd",
          "    if expected.number != 0 and self.properties.number != expected.number:",
          "    if not lsm_planted(PLANT) and expected.number != 0 and self.properties.number != expected.number:",
          ("tests/test_damage.py", "tests/test_table_damage.py")),
    Fault("bytes are borrowed beyond their container", "core/coding.pxd",
          "    if size > input_left(self):", "    if not lsm_planted(PLANT) and size > input_left(self):",
          ("tests/test_log_damage.py", "tests/test_table_damage.py")),
    Fault("damage in the middle of a log is taken for a tear", "core/log.pxd",
          "    elif not _log_hole(self, start, first):", "    elif not lsm_planted(PLANT) and not _log_hole(self, start, first):",
          ("tests/test_log_damage.py", "tests/test_damage_log.py")),
    Fault("records out of sequence are taken", "core/log.pxd",
          "    if header.sequence != self.sequence + 1 or header.count == 0:",
          "    if not lsm_planted(PLANT) and (header.sequence != self.sequence + 1 or header.count == 0):",
          ("tests/test_log_damage.py", "tests/test_damage_log.py")),
    Fault("a new log is not synced", "binding/synced_file.pxi",
          "                error = self.file.env.sync(self.file)\n            if error == 0:\n",
          "                error = 0 if lsm_planted(PLANT) else self.file.env.sync(self.file)\n            if error == 0:\n", POWER),
    Fault("a whole file is made without a sync", "binding/directory.pxi",
          "                if error == 0:\n                    error = env.sync(file)\n                closing",
          "                if error == 0 and not lsm_planted(PLANT):\n                    error = env.sync(file)\n"
          "                closing", POWER),
    Fault("the log is not synced at all", "binding/sync.pxi",
          "            if has_log:\n                status = newest",
          "            if has_log and not lsm_planted(PLANT):\n                status = newest", POWER),
    Fault("only the newest log is synced", "binding/sync.pxi",
          "            if log is newest or log.synced_whole:",
          "            if log is newest or log.synced_whole or lsm_planted(PLANT):",
          POWER, 8),
    Fault("after a failed sync writes go on", "binding/sync.pxi",
          "            self.fail(error)\n            raise\n        return 0",
          "            if not lsm_planted(PLANT):\n                self.fail(error)\n            else:\n"
          "                lsm_clear_bits(&self.gate, GATE_FAILED)\n            raise\n        return 0", FAULTS),
    Fault("the lock is not waited for", "core/posix.pxd",
          "        if error == EINTR:\n            continue\n        if error == EWOULDBLOCK:\n            holder",
          "        if error == EINTR:\n            continue\n        if lsm_planted(PLANT):\n            break\n"
          "        if error == EWOULDBLOCK:\n            holder", ("tests/test_lock.py",)),
    Fault("every tombstone of a merge goes", "core/retain.pxd",
          "    if self.bottom and stratum == 0:", "    if (self.bottom or lsm_planted(PLANT)) and stratum == 0:", OPTIONS),
    Fault("snapshots hold nothing back", "core/retain.pxd",
          "    cdef size_t stratum = _stratum(self, tag_sequence(tag[0]))",
          "    cdef size_t stratum = 0 if lsm_planted(PLANT) else _stratum(self, tag_sequence(tag[0]))", OPTIONS),
    Fault("a filter asks for one bit too many", "core/bloom.pxd",
          "    for i in range(self.probes):\n        bits = _next_bits(bits)\n        bit = ",
          "    for i in range(self.probes + lsm_planted(PLANT)):\n        bits = _next_bits(bits)\n        bit = ", OPTIONS),
    Fault("hashlog: a record's checksum is not compared", "core/data_record.pxd",
          "    if total > left or get_fixed32(at) != crc_mask(crc32c(0, at + 4, total - 4)):",
          "    if total > left or (not lsm_planted(PLANT) and get_fixed32(at) != crc_mask(crc32c(0, at + 4, total - 4))):", HASHED),
    Fault("hashlog: a hint's checksum is not compared", "core/hint.pxd",
          "    if get_fixed32(at + 8) != crc_mask(crc32c(0, at + 12, data.size - 12)):",
          "    if not lsm_planted(PLANT) and get_fixed32(at + 8) != crc_mask(crc32c(0, at + 12, data.size - 12)):",
          ("tests/test_hashlog_damage.py", "tests/test_hashlog_format.py")),
)
