"""Field types of playbooks: texts that are checked, while the file is read, for what Windows makes of them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, StringConstraints, WithJsonSchema

from converge.model import durations
from converge.windows import paths, registry, versions

_VARIABLE = re.compile(r"%[^%]+%")
_LEADING_VARIABLE = re.compile(r"^%[^%]+%")
_CONTROL = re.compile(r"[\x00-\x1f]")
_SPELLINGS = {"\t": r"\t", "\n": r"\n", "\r": r"\r", "\f": r"\f", "\b": r"\b", "\a": r"\a", "\v": r"\v", "\0": r"\0"}


def _seconds(raw: object) -> float:
    return durations.read_duration(raw).total_seconds()


def _key(text: str) -> str:
    return str(registry.parse_path(text))


def _host_path(text: str) -> str:
    if found := _CONTROL.search(text):
        spelled = "".join(_SPELLINGS.get(character, character) for character in text)
        raise ValueError(f"the path holds the control character {found.group()!r}; write it as '{spelled}'")
    paths.check(_VARIABLE.sub("v", _LEADING_VARIABLE.sub(r"C:\\v", text)))
    return paths.normalise(text)


def _version(text: str) -> str:
    versions.parse(text)
    return text.strip()


KeyName = Annotated[str, AfterValidator(_key)]
"""A registry key: `HKLM\\SOFTWARE\\...`."""

ValueName = Annotated[str, AfterValidator(registry.check_value_name)]
"""A registry value's name; the default value's is empty."""

HostPath = Annotated[str, AfterValidator(_host_path)]
"""A full path on the host; it may hold %VARIABLES%, which the host's own facts resolve."""

ServiceName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256, pattern=r"^[^/\\\x00-\x1f]+$")
]
"""A service's short name: at most 256 characters, no slash or backslash (CreateService)."""

Duration = Annotated[float, BeforeValidator(_seconds), WithJsonSchema({"anyOf": list(durations.SPELLINGS)})]
"""A span of time: seconds, or a text such as `7 days`, `12h`, `1h30m`. Held in seconds."""

Version = Annotated[str, AfterValidator(_version)]
"""A version number such as 5.0.2195.6713."""
