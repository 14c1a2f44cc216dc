"""What a page was asked for, from its address: every view can be kept, linked and gone back to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import quote, urlencode

LONGEST = 1000  # characters of one value; host names of the store may be long
LAST_PAGE = 100_000
KNOWN = (
    "q",
    "status",
    "playbook",
    "age",
    "finding",
    "sort",
    "mode",
    "group",
    "reason",
    "name",
    "id",
    "before",
    "show",
    "page",
)


class PageQuery:
    """The part of an address behind `?`. What makes no sense counts as not given."""

    def __init__(self, path: str, values: Mapping[str, str]) -> None:
        self.path = path
        self._values = {name: values[name] for name in KNOWN if values.get(name)}

    def text(self, name: str) -> str:
        """A value, empty where there is none or where it is longer than any that means something."""
        value = self._values.get(name, "")
        return value if len(value) <= LONGEST else ""

    def choice(self, name: str, among: Collection[str]) -> str:
        """A value that must be one of these; empty otherwise."""
        value = self.text(name)
        return value if value in among else ""

    def page(self) -> int:
        """Which page of a list, counted from 1."""
        value = self.text("page")
        return min(max(int(value), 1), LAST_PAGE) if value.isascii() and value.isdigit() and len(value) < 9 else 1

    def link(self, **changes: str | int) -> str:
        """This view with something else: an empty value takes one away."""
        return address(self.path, self._values | changes)


def address(path: str, values: Mapping[str, str | int]) -> str:
    """An address within the site."""
    given = {name: str(value) for name, value in values.items() if value != ""}
    return f"{path}?{urlencode(given, quote_via=quote, errors='replace')}" if given else path
