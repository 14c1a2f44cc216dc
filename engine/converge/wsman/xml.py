"""XML as text and back, for bytes that an enemy may have written.

Reading refuses document types outright and is bounded in size and depth. Writing is plain text, because hosts are
particular about namespace declarations and order, and because a character that XML cannot carry must not vanish.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from lxml import etree

from converge.errors import LocalProtocolError, RemoteProtocolError
from converge.wsman.namespaces import PREFIXES

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_DEPTH: Final = 64
MAX_MARKS: Final = 80_000
"""Ends of elements, and attributes. A tree takes some 150 bytes for each, whatever its message takes; hosts that fill the
envelope we ask for use half as many."""

Element = etree._Element

_PROLOG = re.compile(r"(?:\s+|<\?.*?\?>|<!--.*?-->)*", re.DOTALL)
_TOO_DEEP = etree.XPath("boolean(" + "/*" * (MAX_DEPTH + 1) + ")")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"(?:[A-Za-z_][\w.-]*:)?[^\W\d][\w.-]*")
# A bare CR would be read back as LF.
_IN_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;", "\r": "&#xD;"})
_IN_ATTRIBUTE = _IN_TEXT | str.maketrans({"\t": "&#x9;", "\n": "&#xA;"})


class Markup(str):
    """Text that is XML already and is not escaped again."""

    __slots__ = ()


def element(tag: str, *content: str, attributes: Mapping[str, str] | None = None) -> Markup:
    """One element. Without content `<tag/>`; with one empty string `<tag></tag>`, as hosts write empty strings.

    Raises LocalProtocolError for a name or a character that XML cannot carry.
    """
    if not _NAME.fullmatch(tag):
        raise LocalProtocolError(f"{tag!r} cannot be the name of an XML element")
    start = tag + "".join(
        f' {name}="{_carried(value).translate(_IN_ATTRIBUTE)}"' for name, value in (attributes or {}).items()
    )
    if not content:
        return Markup(f"<{start}/>")
    inner = "".join(part if isinstance(part, Markup) else _carried(part).translate(_IN_TEXT) for part in content)
    return Markup(f"<{start}>{inner}</{tag}>")


def join(parts: Iterable[Markup]) -> Markup:
    """Elements one after the other."""
    return Markup("".join(parts))


def declarations(prefixes: Iterable[str]) -> dict[str, str]:
    """The attributes that declare these prefixes, in this order."""
    return {f"xmlns:{prefix}": PREFIXES[prefix] for prefix in prefixes}


def shown(text: str) -> str:
    """The text with `?` for every character XML cannot carry, as hosts send it ([MS-WSMV] 3.1.4.1.25)."""
    return _NOT_XML.sub("?", text)


def _carried(text: str) -> str:
    unfit = _NOT_XML.search(text)
    if unfit:
        raise LocalProtocolError(
            f"the character U+{ord(unfit[0]):04X} cannot be sent to a host", why="XML cannot carry it"
        )
    return text


def parse(data: bytes, *, limit: int = MAX_BYTES) -> Element:
    """The root element of a message in UTF-8 or UTF-16. Raises RemoteProtocolError for anything that is not one."""
    if len(data) > limit:
        raise RemoteProtocolError(f"a message of {len(data)} bytes, more than the {limit} that are accepted")
    marks = data.count(b"<") + data.count(b'="') + data.count(b"='")
    if marks > MAX_MARKS:
        raise RemoteProtocolError(f"a message of more than the {MAX_MARKS} elements and attributes that are accepted")
    text = _decoded(data)
    prolog = _PROLOG.match(text)
    start = prolog.end() if prolog else 0
    if text.startswith("<!", start):
        raise RemoteProtocolError(
            "a message with a document type", why="SOAP forbids it, and entities can be used to attack"
        )
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        remove_comments=True,
        remove_pis=True,
        huge_tree=False,
    )
    try:
        root = etree.fromstring(text[start:].encode(), parser)
        too_deep = _TOO_DEEP(root)
    except (etree.LxmlError, ValueError) as error:
        raise RemoteProtocolError("a message that is not XML", why=str(error)) from error
    if too_deep:
        raise RemoteProtocolError(f"a message nested deeper than {MAX_DEPTH} elements")
    return root


def _decoded(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise RemoteProtocolError("a message that is neither UTF-8 nor UTF-16") from error


def local_name(node: Element) -> str:
    """The element's name without its namespace."""
    return etree.QName(node).localname


def namespace(node: Element) -> str:
    """The element's namespace, empty if it has none."""
    return etree.QName(node).namespace or ""


def child(node: Element | None, uri: str, *path: str) -> Element | None:
    """The first descendant along a path of names in one namespace."""
    for name in path:
        if node is None:
            return None
        node = node.find(f"{{{uri}}}{name}")
    return node


def value(node: Element | None) -> str:
    """The element's text without surrounding white space, empty if there is no element. For names and numbers."""
    return (node.text or "").strip() if node is not None else ""


def integer(text: str) -> int | None:
    """The number a text spells in decimal, None if it spells none or one beyond 64 bits."""
    text = text.strip()
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,20}", text) else None
