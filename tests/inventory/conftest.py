"""An inventory from texts, for every test of this room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from converge.inventory import Inventory, load

Loader = Callable[..., Inventory]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loader:
    """Write files given by path into a fresh current folder, and load those named by `sources` (the first, if none is)."""
    monkeypatch.chdir(tmp_path)

    def write_and_load(
        files: dict[str, str | bytes],
        *sources: str,
        playbooks: tuple[str, ...] = (),
        extra: dict[str, object] | None = None,
    ) -> Inventory:
        for name, content in files.items():
            path = Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            if path.read_bytes().startswith(b"#!"):
                path.chmod(0o755)
        return load(
            sources or [next(iter(files))],
            playbook_directories=[Path(folder) for folder in playbooks],
            extra_variables=extra or {},
        )

    return write_and_load
