"""Pieces of HTML from texts that nobody vouches for: everything is escaped here, and only here."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape

from converge.model.change import Json
from converge.report.visible import visible


class Markup(str):
    """Text that is HTML already. Everything else is escaped."""

    __slots__ = ()


def text(value: object) -> Markup:
    """A text as HTML: control characters and those that turn writing around are spelled out."""
    if isinstance(value, Markup):
        return value
    return Markup(escape(visible(str(value))))


def tag(name: str, /, *inside: object, **attributes: object) -> Markup:
    """An element. `class_` is class; underscores in names of attributes are hyphens; None leaves one out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(visible(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{given}>{''.join(text(part) for part in inside)}</{name}>")


def data_block(identifier: str, value: Json) -> Markup:
    """Data for the page's program, in a form that cannot end the element it stands in."""
    content = json.dumps(_spelled(value), separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")
    return Markup(f'<script type="application/json" id="{identifier}">{content}</script>')


def policy(*, style: str, script: str) -> str:
    """A content security policy under which exactly this style and this program work, and nothing is ever fetched."""
    return (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _spelled(value: Json) -> Json:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(str(key)): _spelled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(item) for item in value]
    return value
