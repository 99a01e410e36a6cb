"""Page: the API for people to read, made of its OpenAPI description: plain HTML, without scripts, and with nothing from elsewhere,
so that a server without the internet shows it, and nobody learns who looks.

Pure functions; the description is the server's own, and is escaped all the same.
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"}
STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222;background:#fff}
code,pre{font:14px/1.5 ui-monospace,monospace}pre{background:#f4f4f4;padding:.6em;overflow:auto}
summary{cursor:pointer;padding:.3em 0}summary b{display:inline-block;min-width:5em}
table{border-collapse:collapse;width:100%}td{border-top:1px solid #ddd;padding:.2em .6em .2em 0;vertical-align:top}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#262626}td{border-color:#444}a{color:#8bf}}"""


def page(description: dict[str, Any]) -> str:
    """All of it as one HTML document."""
    told = description["info"]
    title = escape(f"{told['title']} {told['version']}")
    return "\n".join([
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>{title}</title>",
        f"<style>{STYLE}</style><h1>{title}</h1><p>{_text(told.get('description', ''))}",
        "<p>For programs: <a href=openapi.json>openapi.json</a>.",
        *_routes(description["paths"]), *_schemas(description.get("components", {}).get("schemas", {})), "</html>\n"])


def _routes(paths: dict[str, Any]) -> Iterator[str]:
    tags: dict[str, list[str]] = {}
    for path, methods in paths.items():
        for method, told in methods.items():
            tags.setdefault(told.get("tags", ["others"])[0], []).append(_route(method.upper(), path, told))
    for tag, routes in tags.items():
        yield f"<h2>{escape(tag)}</h2>"
        yield from routes


def _route(method: str, path: str, told: dict[str, Any]) -> str:
    parts = [f"<details><summary><b>{escape(method)}</b> <code>{escape(path)}</code> {escape(told.get('summary', ''))}</summary>"]
    if "description" in told:
        parts.append(f"<p>{_text(told['description'])}")
    if told.get("parameters"):
        parts.append(_table((f"<code>{escape(one['name'])}</code>", escape(one["in"]), escape(_kind(one.get("schema", {}))),
                             _text(one.get("description", ""))) for one in told["parameters"]))
    for media, content in told.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>Body: <code>{escape(media)}</code> {_shown(content.get('example', content.get('schema')))}")
    parts.append(_table((f"<code>{escape(str(status))}</code>", escape(", ".join(one.get("content", {}))),
                         _text(one.get("description", ""))) for status, one in told["responses"].items()))
    return "\n".join([*parts, "</details>"])


def _schemas(schemas: dict[str, Any]) -> Iterator[str]:
    if schemas:
        yield "<h2>schemas</h2>"
    for name, schema in schemas.items():
        yield f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>{_shown(schema)}</details>"


def _kind(schema: dict[str, Any]) -> str:
    return " or ".join(map(str, schema["enum"])) if "enum" in schema else str(schema.get("type", ""))


def _shown(thing: Any) -> str:
    return f"<pre>{escape(json.dumps(thing, indent=2, ensure_ascii=False))}</pre>"


def _table(rows: Iterator[tuple[str, ...]]) -> str:
    return "<table>" + "\n".join("<tr>" + "".join(f"<td>{cell}" for cell in row) for row in rows) + "</table>"


def _text(text: str) -> str:
    """Escaped, what stands between backquotes as code."""
    return "".join(f"<code>{part}</code>" if odd % 2 else part for odd, part in enumerate(escape(text).split("`")))
