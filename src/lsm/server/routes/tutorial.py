"""The tutorial API: POST /set/{key}, GET /get/{key}, DELETE /delete/{key}, with values as JSON text.

What another API wrote that is no text is told as `value_b64` (see text.py); it may be written so, too.
"""
from __future__ import annotations

from typing import Any

from lsm.server import problems
from lsm.server.bodies import members, read_json
from lsm.server.budget import LARGE_BYTES
from lsm.server.call import JSON, Answer, Call, Handler, json_answer
from lsm.server.conditions import ANY, Condition
from lsm.server.problems import Problem
from lsm.server.routes import described
from lsm.server.routes.keys import checked_key
from lsm.server.service import Service
from lsm.server.text import from_member, member, member_bytes

SET, GET, DELETE = b"/set/", b"/get/", b"/delete/"


class Tutorial:
    """The handlers of the tutorial."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @property
    def keyed(self) -> dict[bytes, tuple[str, dict[str, Handler]]]:
        """Prefix of the path: route, method: handler."""
        return {GET: ("/get/{key}", {"GET": self.get, "HEAD": self.get}), SET: ("/set/{key}", {"POST": self.set}),
                DELETE: ("/delete/{key}", {"DELETE": self.delete})}

    async def get(self, call: Call) -> Answer:
        """{"value":"daniel"}, or 404."""
        call.parameters(())
        store = self._service.store
        value = await store.value(self._key(call), call.hold)
        if value is None:
            raise problems.not_found()
        if len(value) < LARGE_BYTES:
            return Answer(200, _told(value), [JSON])
        call.hold.grow(len(value) + await store.run(member_bytes, value))
        return Answer(200, await store.run(_told, value), [JSON])

    async def set(self, call: Call) -> Answer:
        """Of {"value": "daniel"}."""
        call.parameters(())
        given = members(read_json(call.body), {"value", "value_b64"}, "")
        value = from_member(given.get("value"), given.get("value_b64"), "value")
        store = self._service.store
        if len(value) > store.value_bytes:
            raise Problem(413, "too_large", f"the value is over the limit of {store.value_bytes:,} bytes")
        await store.write([(self._key(call), value)], hold=call.hold)
        return json_answer({"status": "ok"})

    async def delete(self, call: Call) -> Answer:
        """404 when it is not there."""
        call.parameters(())
        key = self._key(call)
        try:
            await self._service.store.write([(key, None)], (Condition(key, match=ANY),))
        except Problem as problem:
            raise problems.not_found() if problem.status_code == 412 else problem from None
        return json_answer({"status": "ok"})

    def _key(self, call: Call) -> bytes:
        return checked_key(call.key, self._service.store.key_bytes)

    # ------------------------------------------------------------ as OpenAPI tells it

    @staticmethod
    def describe() -> dict[str, dict[str, dict[str, Any]]]:
        """By route and method, what `documented` needs."""
        text = {"type": "string"}
        value = {"type": "object", "properties": {"value": text, "value_b64": {**text, "format": "base64url"}},
                 "additionalProperties": False, **described.one_of("value", "value_b64")}
        done = {"description": "Done.", "content": {"application/json": {"schema": {
            "type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}}}}}
        found = {"description": "The value.", "content": {"application/json": {"schema": value}}}
        body = {"required": True, "content": {"application/json": {"schema": value, "example": {"value": "daniel"}}}}
        key = [described.KEY]
        return {
            "/set/{key}": {"POST": {"summary": "Write a value", "parameters": key, "body": body, "responses": {
                200: done, **described.failures(422, 507)}}},
            "/get/{key}": {"GET": {"summary": "Read a value", "parameters": key, "responses": {
                200: found, **described.failures(404)}}},
            "/delete/{key}": {"DELETE": {"summary": "Delete a key", "parameters": key, "responses": {
                200: done, **described.failures(404, 507)}}},
        }


def _told(value: bytes) -> bytes:
    return ("{" + member("value", value) + "}").encode()
