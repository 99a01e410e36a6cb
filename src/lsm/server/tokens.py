"""Tokens: who may read, who may write. Immutable; only digests of tokens are kept, and none is ever logged.

A token file has a line for each: `read TOKEN` or `write TOKEN` (who may write may read); # begins a comment. It belongs to
nobody else: mode 0600. Tokens have at least 32 characters: `python3 -c "import secrets; print(secrets.token_urlsafe(32))"`.
"""
from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

WRITER, READER = "LSM_TOKEN", "LSM_READ_TOKEN"        # in the environment
TOKEN_CHARACTERS_MIN = 32
TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")             # what a bearer token may have (RFC 6750)


class Right(IntEnum):
    """What a request may do."""

    NONE = 0
    READ = 1
    WRITE = 2


class TokenError(ValueError):
    """The tokens cannot be used; the message says why, and never has one."""


@dataclass(frozen=True)
class Tokens:
    """The digests of all tokens, and what each may do. False when there are none: then anybody may write."""

    known: tuple[tuple[bytes, Right], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.known)

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.known + other.known)

    @classmethod
    def of(cls, writers: tuple[str, ...] = (), readers: tuple[str, ...] = ()) -> Tokens:
        """From tokens as they are."""
        given = [(token, Right.WRITE) for token in writers] + [(token, Right.READ) for token in readers]
        for token, right in given:
            if len(token) < TOKEN_CHARACTERS_MIN or not TOKEN.fullmatch(token):
                raise TokenError(f"a {right.name.lower()} token is too short or has characters a header cannot: give at least "
                                 f"{TOKEN_CHARACTERS_MIN} letters, digits, - or _")
        return cls(tuple((_digest(token.encode()), right) for token, right in given))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Tokens:
        """From a token file."""
        with open(path, encoding="ascii", errors="replace") as file:
            mode = os.fstat(file.fileno()).st_mode
            lines = file.read(1 << 20).splitlines()
        if stat.S_IMODE(mode) & 0o077:
            raise TokenError(f"{path}: others may read it: chmod 600 {Path(path).name}")
        found: dict[str, list[str]] = {"read": [], "write": []}
        for number, line in enumerate(lines, 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            if len(words) != 2 or words[0] not in found:
                raise TokenError(f"{path}, line {number}: give `read TOKEN` or `write TOKEN`")
            found[words[0]].append(words[1])
        if not any(found.values()):
            raise TokenError(f"{path}: there is no token in it: give `read TOKEN` or `write TOKEN`, one a line")
        return cls.of(tuple(found["write"]), tuple(found["read"]))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Tokens:
        """From LSM_TOKEN and LSM_READ_TOKEN, as far as they are set."""
        writer, reader = environment.get(WRITER), environment.get(READER)
        return cls.of((writer,) if writer else (), (reader,) if reader else ())

    def judge(self, authorization: bytes | None) -> Right:
        """What may who sends this header? All tokens are compared, each in constant time."""
        if not self.known:
            return Right.WRITE
        scheme, _, token = (authorization or b"").partition(b" ")
        offered = _digest(token.strip())
        right = Right.NONE
        for digest, grants in self.known:
            if hmac.compare_digest(digest, offered):
                right = max(right, grants)
        return right if scheme.lower() == b"bearer" else Right.NONE


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
