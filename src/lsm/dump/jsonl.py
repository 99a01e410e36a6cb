"""JSON lines: one object a line, for other programs.

    {"key": "kenya:capital", "value": "Nairobi"}
    {"key": "tanzania:capital", "value": null}              a deletion
    {"key": "photo", "value_base64": "iVBORw0KGgo="}        bytes that are not UTF-8

Pure functions. Files of such lines: lsm.dump.lines.

>>> encode(b"photo", b"\\x89PNG")
b'{"key": "photo", "value_base64": "iVBORw=="}\\n'
>>> decode(b'{"value": "Nairobi", "key": "kenya:capital"}')
(b'kenya:capital', b'Nairobi')
"""
from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

NAMES = {"key", "key_base64", "value", "value_base64"}
_as_json = json.JSONEncoder(ensure_ascii=False).encode


def encode(key: bytes, value: bytes | None, sequence: int | None = None) -> bytes:
    """The line of an entry. With a sequence number it is for reading only: `decode` refuses it."""
    fields: dict[str, Any] = {} if sequence is None else {"sequence": sequence}
    _put(fields, "key", key)
    if value is None:
        fields["value"] = None
    else:
        _put(fields, "value", value)
    return _as_json(fields).encode() + b"\n"


def _put(fields: dict[str, Any], name: str, data: bytes) -> None:
    try:
        fields[name] = data.decode()
    except UnicodeDecodeError:
        fields[name + "_base64"] = b64encode(data).decode()


def decode(line: bytes) -> tuple[bytes, bytes | None]:
    """The entry of a line. Raises ValueError."""
    try:
        fields = json.loads(line.decode(), object_pairs_hook=_once)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object with a key and a value")
    for name in fields.keys() - NAMES:
        raise ValueError("it has a sequence number: what was dumped with its versions is for reading, not for loading"
                         if name == "sequence" else f"the name {name!r} is not known: key and value are, "
                                                    "and key_base64 and value_base64")
    key = _take(fields, "key")
    if key is None:
        raise ValueError("a key is a string, not null")
    return key, _take(fields, "value")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a name stands there twice")
    return fields


def _take(fields: dict[str, Any], name: str) -> bytes | None:
    """The bytes under the name, or under its base64 form; None where null stands."""
    coded = name + "_base64"
    if (name in fields) == (coded in fields):
        raise ValueError(f"it needs one of {name} and {coded}")
    if coded in fields:
        if not isinstance(fields[coded], str):
            raise ValueError(f"{coded} is a string")
        try:
            return b64decode(fields[coded], validate=True)
        except ValueError as error:
            raise ValueError(f"{coded} is not base64: {error}") from None
    text = fields[name]
    if text is None:
        return None
    if not isinstance(text, str):
        raise ValueError(f"{name} is a string, not {json.dumps(text)[:40]}: put it in quotes")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds half of a surrogate pair, which is no character") from None
