r"""Text: bytes as URLs and JSON can say them, without loss. Pure functions.

In a URL, percent-encoding says any bytes: it is decoded once, to bytes, and nothing is normalised. In JSON, bytes that are
UTF-8 are a string under their name, others are base64url without padding under the name with `_b64` behind it:

>>> member("key", b"caf\xc3\xa9"), member("key", b"\xff\x00")
('"key":"café"', '"key_b64":"_wA"')

With `encoding=base64url` in the query, every key and value of a request's URL and of its answer's JSON is base64url.
"""
from __future__ import annotations

import base64
import binascii
import re
from json.encoder import encode_basestring
from urllib.parse import unquote_to_bytes

from lsm.server.problems import bad_request

STRAY_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
ESCAPED_SHORT = b'"\\\b\f\n\r\t'                                                 # two characters in JSON
ESCAPED_LONG = bytes(byte for byte in range(32) if byte not in ESCAPED_SHORT)       # six
BASE64URL = re.compile(r"[A-Za-z0-9_-]*={0,2}")


def percent_decoded(raw: bytes) -> bytes:
    """What percent-encoding says, decoded once."""
    if b"%" not in raw:
        return raw
    if STRAY_PERCENT.search(raw):
        raise bad_request("bad_encoding", "a % that is no escape: write it as %25")
    return unquote_to_bytes(raw)


def base64url(data: bytes) -> str:
    """Without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """With or without padding; strict in everything else."""
    bare = text.rstrip("=")
    try:
        if not BASE64URL.fullmatch(text):
            raise ValueError
        data = base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
        if base64url(data) != bare:
            raise ValueError
    except (ValueError, binascii.Error):
        raise bad_request("bad_encoding", "this is not base64url: letters, digits, - and _, without spaces") from None
    return data


def member(name: str, data: bytes, binary: bool = False) -> str:
    """`data` as a member of a JSON object."""
    if not binary:
        try:
            return f'"{name}":{encode_basestring(data.decode())}'
        except UnicodeDecodeError:
            pass
    return f'"{name}_b64":"{base64url(data)}"'


def member_bytes(data: bytes) -> int:
    """How long `member` makes a value at most: what it escapes is counted, not guessed. Base64 is shorter."""
    plain = len(data.translate(None, ESCAPED_SHORT + ESCAPED_LONG))
    short = len(data.translate(None, ESCAPED_LONG)) - plain
    return max(plain + 2 * short + 6 * (len(data) - plain - short), 4 * len(data) // 3 + 4)


def from_member(text: str | None, binary: str | None, name: str) -> bytes:
    """The bytes that `name` or `name_b64` of a JSON object say; exactly one of them is given."""
    if (text is None) == (binary is None):
        raise bad_request("bad_body", f"give {name}, or {name}_b64 when it is binary")
    if text is None:
        return from_base64url(binary or "")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise bad_request("bad_body", f"{name} has half of a surrogate pair, which is no text: give {name}_b64") from None
