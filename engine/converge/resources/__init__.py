"""The kinds: one file each. A kind enters by lying here; `KINDS` of `model.resource` then knows it."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

_LAST = "procedure"  # its steps are of the other kinds

for _module in sorted((item.name for item in iter_modules(__path__)), key=lambda name: (name == _LAST, name)):
    import_module(f"{__name__}.{_module}")
