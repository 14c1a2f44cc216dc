"""What `file` and `directory` copy, write, keep aside, leave alone and refuse."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from converge.errors import ResourceError
from converge.model.action import (
    AnyAction,
    CopyFile,
    MoveDirectory,
    MoveFile,
    NewDirectory,
    RemoveDirectory,
    WriteFile,
)
from converge.model.answer import Answer, Answers, Found, Refused
from converge.model.facts import DirectoryFacts, FileFacts
from converge.model.query import AnyQuery, Directory, File
from converge.model.resource import KINDS

Decide = Callable[..., Any]
RUN = "2026-11-20T220107Z-1f3a"
UNDO = "2026-11-20T230000Z-2e4b"
TARGET, SOURCE = r"D:\Inetsrv\Seo.dll", r"C:\WINNT\System32\Inetsrv\Seo.dll"
ASIDE = f"{TARGET}.converge-{RUN}"
TAKEN = f"{TARGET}.converge-{UNDO}"
FOLDER: dict[AnyQuery, Answer[Any]] = {Directory(r"D:\Inetsrv"): Found(DirectoryFacts(r"D:\Inetsrv"))}
COPY: list[AnyAction] = [CopyFile(SOURCE, TARGET)]
REPLACE: list[AnyAction] = [MoveFile(TARGET, ASIDE), CopyFile(SOURCE, TARGET)]
File_ = tuple[int, str | None]

CASES: list[tuple[str, Mapping[str, object], File_ | None, File_ | None, list[AnyAction] | str]] = [
    # title, fields beside path and copy_from, the target, the source, the actions or words of the error
    ("missing", {}, None, (10, "1.0.0.0"), COPY),
    ("the same", {}, (10, "1.0.0.0"), (10, "1.0.0.0"), []),
    ("the same version, written otherwise", {}, (10, "4.02.0622"), (10, "4.2.622.0"), []),
    ("another size", {}, (11, "1.0.0.0"), (10, "1.0.0.0"), REPLACE),
    ("an older version", {}, (10, "1.0.0.0"), (10, "1.0.0.1"), REPLACE),
    ("no version", {}, (11, None), (10, None), REPLACE),
    ("a newer version", {}, (11, "1.0.10.0"), (10, "1.0.9.0"), []),
    ("a newer version that may go", {"allow_downgrade": True}, (11, "1.0.10.0"), (10, "1.0.9.0"), REPLACE),
    ("never replaced", {"replace": "never"}, (11, "1.0.0.0"), (10, "2.0.0.0"), []),
    ("never replaced and missing", {"replace": "never"}, None, (10, "2.0.0.0"), COPY),
    ("both missing", {}, None, None, "the file is missing and its source"),
    ("the source missing", {}, (11, "1.0.0.0"), None, []),
    ("the source missing, the wrong size", {"size": 10}, (11, None), None, "has 11 bytes, not 10"),
    ("a source of the wrong size", {"size": 12}, (11, None), (10, None), "the source"),
    ("a source of the wrong version", {"version": "3.0"}, None, (10, "2.0.0.0"), "has version 2.0.0.0, not 3.0"),
]


def table(target: File_ | None, source: File_ | None) -> dict[AnyQuery, Answer[Any]]:
    """A host with a folder for the target, and these files."""
    given = dict(FOLDER)
    for path, facts in ((TARGET, target), (SOURCE, source)):
        if facts:
            given[File(path)] = Found(FileFacts(path, facts[0], facts[1]))
    return given


def written(**fields: object) -> dict[str, object]:
    """The resource that copies Seo.dll."""
    return {"file": {"path": TARGET, "copy_from": r"%SystemRoot%\System32\Inetsrv\Seo.dll", **fields}}


@pytest.mark.parametrize(
    ("fields", "target", "source", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_copying(
    fields: Mapping[str, object],
    target: File_ | None,
    source: File_ | None,
    expected: list[AnyAction] | str,
    decided: Decide,
) -> None:
    outcome = decided(written(**fields), table(target, source))
    if isinstance(expected, str):
        assert outcome.status == "failed"
        assert expected in outcome.error
        return
    assert list(outcome.actions) == expected
    assert outcome.status == ("changed" if expected else "ok")
    if expected:
        assert decided(written(**fields), table(source, source)).status == "ok"


def test_what_was_replaced_comes_back_without_a_moment_of_loss(decided: Decide) -> None:
    replaced = decided(written(), table((11, "1.0.0.0"), (10, "1.0.0.1")))
    assert replaced.reverted() == (MoveFile(TARGET, TAKEN), MoveFile(ASIDE, TARGET))
    assert decided(written(), table(None, (10, None))).reverted() == (MoveFile(TARGET, TAKEN),)


def test_a_change_broken_off_after_the_first_move_can_be_taken_back(decided: Decide) -> None:
    replaced = decided(written(), table((11, "1.0.0.0"), (10, "1.0.0.1")))
    assert replaced.reverted(after=1) == (MoveFile(ASIDE, TARGET),)


def test_a_missing_folder_is_found_in_check(decided: Decide) -> None:
    given = table(None, (10, None))
    del given[Directory(r"D:\Inetsrv")]
    outcome = decided(written(), given)
    assert outcome.status == "failed"
    assert r"the folder D:\Inetsrv is not there" in outcome.error


@pytest.mark.parametrize("refusing", [TARGET, SOURCE])
def test_a_refusal_is_never_a_change(refusing: str, decided: Decide) -> None:
    given = table((10, None), (11, None)) | {File(refusing): Refused("5", "access denied")}
    outcome = decided(written(), given)
    assert (outcome.status, outcome.actions) == ("undecided", ())


def test_what_is_left_alone_is_told(decided: Decide) -> None:
    assert "later than the source's" in decided(written(), table((1, "2.0"), (2, "1.0"))).decision.notes[0]
    assert "is not there" in decided(written(), table((1, "2.0"), None)).decision.notes[0]


@pytest.mark.parametrize(
    ("found", "status"), [(b"hello", "ok"), (b"other", "changed"), (b"hellO", "changed"), (None, "changed")]
)
def test_contents_are_compared_by_hash(found: bytes | None, status: str, decided: Decide) -> None:
    given = dict(FOLDER)
    if found is not None:
        digest = hashlib.sha256(found).hexdigest().upper()
        given[File(TARGET, True)] = Found(FileFacts(TARGET, len(found), sha256=digest))
    outcome = decided({"file": {"path": TARGET, "content": "hello"}}, given)
    assert outcome.status == status
    if status == "changed":
        kept = [MoveFile(TARGET, ASIDE)] if found is not None else []
        assert list(outcome.actions) == [*kept, WriteFile(TARGET, b"hello")]
        back = [MoveFile(ASIDE, TARGET)] if found is not None else []
        assert list(outcome.reverted()) == [MoveFile(TARGET, TAKEN), *back]
    assert "hello" not in str(outcome.resource.as_declared())


@pytest.mark.parametrize(("found", "status"), [(b"hello", "ok"), (b"hellO", "changed")])
def test_where_the_host_knows_no_sha256_contents_are_compared_by_sha1(
    found: bytes, status: str, decided: Decide
) -> None:
    given = FOLDER | {File(TARGET, True): Found(FileFacts(TARGET, 5, sha1=hashlib.sha1(found).hexdigest().upper()))}
    outcome = decided({"file": {"path": TARGET, "content": "hello"}}, given)
    assert outcome.status == status
    if status == "changed":
        assert outcome.after == {
            "size": 5, "version": None, "sha256": None, "sha1": hashlib.sha1(b"hello").hexdigest()
        }  # fmt: skip
        assert list(outcome.actions) == [MoveFile(TARGET, ASIDE), WriteFile(TARGET, b"hello")]
        assert list(outcome.reverted()) == [MoveFile(TARGET, TAKEN), MoveFile(ASIDE, TARGET)]


def test_states_are_compared_by_hashes_of_one_kind() -> None:
    kind = KINDS["file"]
    resource, answers = kind.model_validate({"path": TARGET, "content": "hello"}), Answers({})

    def agree(left: Mapping[str, str], right: Mapping[str, str]) -> bool:
        states = [kind.state_type.model_validate({"size": 5, **hashes}) for hashes in (left, right)]
        return resource.agree(states[0], states[1], answers)

    both = {"sha256": "a" * 64, "sha1": "b" * 40}  # as a file is recorded that was not there before
    assert agree(both, {"sha1": "b" * 40})
    assert agree(both, {"sha256": "a" * 64})
    assert not agree(both, {"sha1": "c" * 40})
    assert not agree(both, {"sha256": "c" * 64})
    assert agree({"sha1": "b" * 40}, {"sha256": "a" * 64}), "hashes of two kinds say nothing of each other"


def test_a_declared_hash_without_contents_is_undecided_where_the_host_knows_no_sha256(decided: Decide) -> None:
    given = FOLDER | {File(TARGET, True): Found(FileFacts(TARGET, 5, sha1="0" * 40))}
    outcome = decided({"file": {"path": TARGET, "sha256": "a" * 64}}, given)
    assert outcome.status == "undecided"
    assert "has no SHA-256" in outcome.error
    assert decided({"file": {"path": TARGET, "sha256": "a" * 64, "size": 6}}, given).status == "failed"


def test_a_hash_that_the_host_does_not_tell_is_undecided(decided: Decide) -> None:
    given = FOLDER | {File(TARGET, True): Found(FileFacts(TARGET, 5))}
    assert decided({"file": {"path": TARGET, "content": "hello"}}, given).status == "undecided"


def test_a_source_of_the_control_node_is_read_at_once(tmp_path: Path, decided: Decide) -> None:
    (tmp_path / "a.bin").write_bytes(b"\x00\xff")
    outcome = decided({"file": {"path": TARGET, "source": str(tmp_path / "a.bin")}}, FOLDER)
    assert outcome.actions == (WriteFile(TARGET, b"\x00\xff"),)
    relative = KINDS["file"].model_validate({"path": TARGET, "source": "a.bin"}, context={"folder": tmp_path})
    assert relative.model_dump(mode="json")["source"] is None
    (tmp_path / "big.bin").write_bytes(b"x" * (1024 * 1024 + 1))
    for name, words in (("big.bin", "1 MiB"), ("none.bin", "cannot be read")):
        with pytest.raises(ValidationError, match=words):
            KINDS["file"].model_validate({"path": TARGET, "source": name}, context={"folder": tmp_path})


def test_only_required(decided: Decide) -> None:
    body = {"file": {"path": TARGET, "size": 10}}
    assert decided(body, table((10, None), None)).status == "ok"
    assert "has 11 bytes, not 10" in decided(body, table((11, None), None)).error
    assert "is missing" in decided(body, table(None, None)).error


def test_an_absent_file_is_kept_aside(decided: Decide) -> None:
    outcome = decided({"file": {"path": TARGET, "ensure": "absent"}}, table((10, None), None))
    assert outcome.actions == (MoveFile(TARGET, ASIDE),)
    assert outcome.reverted() == (MoveFile(ASIDE, TARGET),)
    assert decided({"file": {"path": TARGET, "ensure": "absent"}}, {}).status == "ok"


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "Seo.dll"},
        {"path": "c:\temp"},
        {"path": r"C:\a|b"},
        {"content": "a"},
        {"ensure": "absent"},
        {"sha256": "abc"},
        {"size": -1},
        {"version": "new"},
        {"replace": "always"},
    ],
)
def test_what_cannot_be_meant_is_refused_while_reading(fields: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError):
        KINDS["file"].model_validate({"path": TARGET, "copy_from": SOURCE, **fields})


DIRECTORY = r"D:\data"


def folder(*names: str, listing: bool = True) -> dict[AnyQuery, Answer[Any]]:
    """A host with a folder that holds these files."""
    files = tuple(FileFacts(f"{DIRECTORY}\\{name}", 1) for name in names)
    return {Directory(DIRECTORY, listing): Found(DirectoryFacts(DIRECTORY, files))}


def test_a_directory_is_made_and_removed(decided: Decide) -> None:
    present, absent = {"directory": {"path": DIRECTORY}}, {"directory": {"path": DIRECTORY, "ensure": "absent"}}
    made = decided(present, {})
    assert made.actions == (NewDirectory(DIRECTORY),)
    assert made.reverted() == (RemoveDirectory(DIRECTORY),)
    assert decided(present, folder(listing=False)).status == "ok"
    removed = decided(absent, folder())
    assert removed.actions == (RemoveDirectory(DIRECTORY),)
    assert removed.reverted() == (NewDirectory(DIRECTORY),)
    assert decided(absent, folder("a")).status == "failed"


def test_a_full_directory_is_renamed_aside(decided: Decide) -> None:
    body = {"path": DIRECTORY, "ensure": "absent", "recursive": True}
    outcome = decided({"directory": body}, folder("a") | folder("a", listing=False))
    aside = f"{DIRECTORY}.converge-{RUN}"
    assert outcome.actions == (MoveDirectory(DIRECTORY, aside),)
    assert outcome.reverted() == (MoveDirectory(aside, DIRECTORY),)


def test_a_folder_that_holds_only_kept_files_goes_with_them(decided: Decide) -> None:
    made = decided({"directory": {"path": DIRECTORY}}, folder(f"a.converge-{UNDO}"))
    assert made.reverted() == (MoveDirectory(DIRECTORY, f"{DIRECTORY}.converge-{UNDO}"),)
    with pytest.raises(ResourceError, match="1 other things lie in"):
        decided({"directory": {"path": DIRECTORY}}, folder("a")).reverted()


def test_what_was_kept_aside_and_is_gone_or_another_is_told(decided: Decide) -> None:
    gone = decided({"file": {"path": TARGET, "ensure": "absent"}}, table((10, None), None))
    with pytest.raises(ResourceError, match="where it was kept, is not there"):
        gone.reverted(after=0)


def test_what_must_not_go_stays(decided: Decide) -> None:
    windows = r"C:\WINNT"
    given: dict[AnyQuery, Answer[Any]] = {Directory(windows, True): Found(DirectoryFacts(windows))}
    body = {"path": "%SystemRoot%", "ensure": "absent", "recursive": True}
    assert "Windows itself" in decided({"directory": body}, given).error
    with pytest.raises(ValidationError):
        KINDS["directory"].model_validate({"path": "C:\\", "ensure": "absent"})
    given = {File(DIRECTORY): Found(FileFacts(DIRECTORY, 1))}
    assert "is a file" in decided({"directory": {"path": DIRECTORY}}, given).error
