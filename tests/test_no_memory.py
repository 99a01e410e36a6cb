"""No memory for Python, at the places where a thread waits for another: each allocation there is refused in turn, one alone, or thirty
in a row. Nobody may wait for ever, and what is done is told as done. (`run.py rig memory` refuses those of every call.)

CPython's own hook refuses them, in a process of its own: a test that hung there would be killed.
"""
import os
import subprocess
import sys
import textwrap
import threading

import lsm
import pytest

pytest.importorskip("_testcapi")

REFUSED = [1, 30]


def play(program, *arguments):
    """What the program prints. It has `refused(call, at, many)`, which answers what was raised."""
    beginning = """
        import logging, shutil, sys, threading, _testcapi, lsm
        logging.disable(logging.CRITICAL)
        sys.unraisablehook = threading.excepthook = lambda _: None

        def refused(call, at, many):
            _testcapi.set_nomemory(at, at + many)
            try:
                call()
            except BaseException as error:
                return error
            finally:
                _testcapi.remove_mem_hooks()
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(beginning) + textwrap.dedent(program), *map(str, arguments)],
                           capture_output=True, text=True, timeout=100,
                           env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout.split("\n")[:-1]


@pytest.mark.parametrize("many", REFUSED)
@pytest.mark.parametrize("engine", ["lsm", "pylsm", "hashlog"])
def test_a_step_that_another_thread_makes_is_made_or_raises(path, engine, many):
    """It could be left out without a word, made and told as failed, or waited for for ever."""
    said = play("""
        path, engine, many = sys.argv[1], sys.argv[2], int(sys.argv[3])
        db = lsm.open(path, engine=engine)
        made = []
        for at in range(60):
            made.clear()
            raised = refused(lambda: db._uninterrupted(lambda: made.append(True)), at, many)
            if bool(made) == (raised is not None):
                print(at, made, repr(raised))
        db.close()
        print("well")
    """, path, engine, many)
    assert said == ["well"]


@pytest.mark.parametrize("many", REFUSED)
@pytest.mark.parametrize("engine", ["lsm", "pylsm", "hashlog"])
def test_close_gives_the_lock_back_or_does_so_when_it_is_asked_again(path, engine, many):
    """The background thread could not say that it had ended: the lock was kept until the process ended."""
    said = play("""
        path, engine, many = sys.argv[1], sys.argv[2], int(sys.argv[3])
        for at in range(0, 90, 3 if engine == "lsm" else 5):
            shutil.rmtree(path, ignore_errors=True)
            db = lsm.open(path, engine=engine)
            db[b"a"] = b"1"
            refused(db.close, at, many)
            db.close()
            with lsm.open(path, engine=engine) as again:
                assert again[b"a"] == b"1"
        print("well")
    """, path, engine, many)
    assert said == ["well"]


@pytest.mark.parametrize("engine", ["lsm", "pylsm", "hashlog"])
def test_the_background_thread_outlives_want_of_memory(path, engine):
    """It ended, and every write that had to wait for it was told that the database was closed."""
    small = {"file_bytes": 1 << 16} if engine == "hashlog" else {"memtable_bytes": 1 << 16}
    with lsm.open(path, engine=engine, **small) as db:
        background = db._background()
        genuine, refusals = background.bell.wait, [MemoryError(), RuntimeError("can't allocate lock")]

        def wait(*given):
            if threading.current_thread() is background.thread and refusals:
                raise refusals.pop()
            return genuine(*given)

        background.bell.wait = wait
        for number in range(5000):
            db[b"%06d" % number] = bytes(100)
        assert len(db) == 5000 and len(refusals) < 2
