"""Threads of a test: they start together, the first error of any of them is the test's, and none may hang."""

import threading
import zlib

JOIN = 100  # seconds until a thread counts as hung


def checked(text):
    """A value that carries its own checksum."""
    return text + b"|%08x" % zlib.crc32(text)


def content(value):
    text, _, stated = value.rpartition(b"|")
    assert stated == b"%08x" % zlib.crc32(text), value
    return text


class Crew:
    """Threads that start together; the first error of any of them is the test's."""

    def __init__(self):
        self.threads, self.errors, self.start_line = [], [], None

    def add(self, work, *arguments):
        def body():
            self.start_line.wait()
            try:
                work(*arguments)
            except BaseException as error:
                self.errors.append(error)

        self.threads.append(threading.Thread(target=body, daemon=True))

    def start(self):
        self.start_line = threading.Barrier(len(self.threads))
        for thread in self.threads:
            thread.start()
        return self

    def join(self):
        for thread in self.threads:
            thread.join(JOIN)
        assert not any(thread.is_alive() for thread in self.threads), "a thread hangs"
        for error in self.errors:
            raise error
