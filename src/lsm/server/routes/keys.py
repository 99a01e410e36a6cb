"""/v1/keys/{key}: one key: raw bytes in and out, with ETags and conditions."""
from __future__ import annotations

from typing import Any

from lsm.server import problems
from lsm.server.budget import LARGE_BYTES
from lsm.server.call import OCTETS, Answer, Call, Handler, flag, is_binary, word
from lsm.server.conditions import Condition, condition, etag_of
from lsm.server.problems import Problem
from lsm.server.routes import described
from lsm.server.service import Service
from lsm.server.text import from_base64url

PREFIX, ROUTE = b"/v1/keys/", "/v1/keys/{key}"


class Keys:
    """The handlers of one key."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @property
    def handlers(self) -> dict[str, Handler]:
        """By method."""
        return {"GET": self.get, "HEAD": self.get, "PUT": self.put, "DELETE": self.delete}

    async def get(self, call: Call) -> Answer:
        """The value, as it is."""
        parameters = call.parameters(("encoding", "snapshot"))
        key = self._key(call, parameters)
        asked = _condition(call, key)
        name = word(parameters, "snapshot")
        if name is None:
            found = await self._service.store.get(key, hold=call.hold)
        else:
            async with self._service.moments.using(name) as moment:
                found = await self._service.store.get(key, moment, call.hold)
        if found is None:
            raise problems.not_found()
        value, tag = found
        headers = [OCTETS, (b"etag", tag.encode())]
        if asked is not None and not asked.holds(value):
            if asked.match is not None and not Condition(key, asked.match).holds(value):
                raise Problem(412, "precondition_failed", "the value is not the one that If-Match asked for")
            return Answer(304, b"", headers[1:])
        return Answer(200, value, headers)

    async def put(self, call: Call) -> Answer:
        """Set the key to the body."""
        parameters = call.parameters(("encoding", "sync"))
        key = self._key(call, parameters)
        body = call.body
        tag = etag_of(body) if len(body) < LARGE_BYTES else await self._service.store.run(etag_of, body)
        return await self._write(call, key, body, flag(parameters, "sync"), [(b"etag", tag.encode())])

    async def delete(self, call: Call) -> Answer:
        """Remove the key; that it is not there is no error, unless If-Match asks for it."""
        parameters = call.parameters(("encoding", "sync"))
        key = self._key(call, parameters)
        return await self._write(call, key, None, flag(parameters, "sync"), [])

    async def _write(self, call: Call, key: bytes, value: bytes | None, sync: bool, headers: list[tuple[bytes, bytes]]) -> Answer:
        store = self._service.store
        if value is not None and len(value) > store.value_bytes:
            raise Problem(413, "too_large", f"the value is over the limit of {store.value_bytes:,} bytes")
        asked = _condition(call, key)
        await store.write([(key, value)], () if asked is None else (asked,), sync, call.hold)
        return Answer(204, b"", [*headers, (b"lsm-durability", store.durability(sync).encode())])

    def _key(self, call: Call, parameters: dict[str, bytes]) -> bytes:
        key = call.key
        if is_binary(parameters):
            key = from_base64url(key.decode("latin-1"))
        return checked_key(key, self._service.store.key_bytes)

    # ------------------------------------------------------------ as OpenAPI tells it

    @staticmethod
    def describe() -> dict[str, dict[str, Any]]:
        """By method, what `documented` needs."""
        missing = described.failures(404, 412)
        written = described.failures(412, 501, 507)
        body = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
        reading = [described.KEY, described.ENCODING, described.SNAPSHOT, described.IF_MATCH, described.IF_NONE_MATCH]
        writing = [described.KEY, described.ENCODING, described.SYNC, described.IF_MATCH, described.IF_NONE_MATCH]
        found = {200: described.octets("The value.", ("ETag",)), 304: described.empty(described.SAID[304]), **missing}
        return {
            "GET": {"summary": "Read a value", "parameters": reading, "responses": found},
            "HEAD": {"summary": "Is there a value, and how long is it?", "parameters": reading, "responses": found},
            "PUT": {"summary": "Write a value", "parameters": writing, "body": body, "responses": {
                204: described.empty("Written.", ("ETag", "Lsm-Durability")), **written}},
            "DELETE": {"summary": "Delete a key", "parameters": writing, "responses": {
                204: described.empty("It is not there any more.", ("Lsm-Durability",)), **written}},
        }


def _condition(call: Call, key: bytes) -> Condition | None:
    headers = call.headers
    if b"if-match" not in headers and b"if-none-match" not in headers:
        return None
    return condition(key, call.header(b"if-match"), call.header(b"if-none-match"))


def checked_key(key: bytes, most: int) -> bytes:
    """Within the limit? Raises the problem 400."""
    if len(key) > most:
        raise problems.bad_request("key_too_long", f"the key has {len(key):,} bytes: the limit is {most:,}")
    return key
