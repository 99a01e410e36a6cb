"""Text: one entry a line, `key→value`, a deletion as `key→†`. To be read, and to be written by hand.

What cannot stand for itself is escaped by a backslash (docs/format-dump.md has the rule), so that any bytes come back
exactly. Pure functions. Files of such lines: lsm.dump.lines.

>>> encode(b"kenya:capital", b"Nairobi").decode()
'kenya:capital→Nairobi\\n'
>>> encode("a→b".encode(), b"\\xff\\n").decode()
'a\\\\→b→\\\\xff\\\\n\\n'
>>> decode("tanzania:capital→†".encode())
(b'tanzania:capital', None)
"""
from __future__ import annotations

import re

ARROW, DAGGER = "→".encode(), "†".encode()
SHORT = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([nrt])|([\\{]|" + ARROW + b"|" + DAGGER + b"))?")
MEANS = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def encode(key: bytes, value: bytes | None, sequence: int | None = None) -> bytes:
    """The line of an entry. With a sequence number it is for reading only: `decode` refuses it."""
    shown = _escaped(key).replace("→", "\\→")
    if shown.startswith("{"):
        shown = "\\" + shown                    # a file that begins so would be taken for JSON lines
    if value is None:
        right = "†"
    else:
        right = _escaped(value)
        if right == "†":
            right = "\\†"
    before = "" if sequence is None else f"{sequence}\t"
    return f"{before}{shown}→{right}\n".encode()


def _escaped(data: bytes) -> str:
    text = data.decode("utf-8", "surrogateescape")
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character in SHORT:
        return SHORT[character]
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def decode(line: bytes) -> tuple[bytes, bytes | None]:
    """The entry of a line without its end. Raises ValueError."""
    control = CONTROL.search(line)
    if control:
        raise ValueError(_about_control(control[0]))
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8: write it as \\x{line[error.start]:02x}") from None
    at = _arrow(line)
    key, value = line[:at], line[at + len(ARROW):]
    return _plain(key), None if value == DAGGER else _plain(value)


def _about_control(byte: bytes) -> str:
    if byte == b"\t":
        return "a tab: in a key or value write \\t; what was dumped with its versions is for reading, not for loading"
    return f"the control character \\x{byte[0]:02x}: escape it so"


def _arrow(line: bytes) -> int:
    """Where the first arrow stands that is not escaped."""
    at = line.find(ARROW)
    while at >= 0:
        slashes = at
        while slashes > 0 and line[slashes - 1] == 0x5C:
            slashes -= 1
        if (at - slashes) % 2 == 0:
            return at
        at = line.find(ARROW, at + 1)
    raise ValueError("there is no → between key and value")


def _plain(part: bytes) -> bytes:
    return ESCAPE.sub(_meant, part) if b"\\" in part else part


def _meant(escape: re.Match[bytes]) -> bytes:
    number, letter, itself = escape.groups()
    if number:
        return bytes.fromhex(number.decode())
    if letter:
        return MEANS[letter]
    if itself:
        return itself
    raise ValueError("a backslash that escapes nothing: \\\\ \\n \\r \\t \\xHH \\→ \\† \\{ are known")
