"""Conditions: ETags, and If-Match and If-None-Match (RFC 9110, 13.1). Pure functions of headers and values.

An ETag names the contents of a value, nothing else: the same value again has the same ETag, whoever wrote it.
"""
from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from lsm.server.problems import Problem, bad_request

TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(,|$)')
ANY = frozenset({"*"})


def etag_of(value: bytes) -> str:
    """The ETag of a value, with its quotes."""
    return f'"{hashlib.blake2b(value, digest_size=16).hexdigest()}"'


@dataclass(frozen=True)
class Condition:
    """What must hold of the value of a key for a request to be carried out. None: nothing is asked."""

    key: bytes
    match: frozenset[str] | None = None             # it has one of these ETags, or any value: ANY
    none_match: frozenset[str] | None = None        # it has none of these, or no value at all: ANY

    def holds(self, value: bytes | None) -> bool:
        """Of this value, None when there is none?"""
        if self.match is None and self.none_match is None:
            return True
        tag = None if value is None else etag_of(value)
        if self.match is not None and (tag is None or not (self.match == ANY or tag in self.match)):
            return False
        return self.none_match is None or tag is None or not (self.none_match == ANY or tag in self.none_match)


def condition(key: bytes, match: str | None, none_match: str | None) -> Condition | None:
    """From the headers of a request; None when it has none of them."""
    if match is None and none_match is None:
        return None
    return Condition(key, None if match is None else _tags(match, "If-Match", weak=False),
                     None if none_match is None else _tags(none_match, "If-None-Match", weak=True))


def _tags(header: str, name: str, weak: bool) -> frozenset[str]:
    """The ETags a header lists. If-Match compares strongly: a weak one is equal to none."""
    if header.strip() == "*":
        return ANY
    found, position = set(), 0
    while position < len(header):
        tag = TAG.match(header, position)
        if tag is None:
            raise bad_request("bad_condition", f'{name} is * or ETags as they were answered: "...", with their quotes')
        if weak or tag[1] is None:
            found.add(f'"{tag[2]}"')
        position = tag.end()
    if not header.strip():
        raise bad_request("bad_condition", f"{name} is empty")
    return frozenset(found)


def failed() -> Problem:
    return Problem(412, "precondition_failed", "the value is not the one that If-Match or If-None-Match asked for")
