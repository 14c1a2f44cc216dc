"""How files of this machine are opened: ordinary ones, of a bounded size, and none that another account may change where that matters.

Trusted are root, this account, and the owner of the current folder: who may write there says what converge reads anyway.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import shlex
import stat
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Final

from converge.errors import UsageError

OWNER_ONLY: Final = 0o600
READABLE: Final = 0o644
FOLDER_OF_OWNER: Final = 0o700
_WITHOUT_OWNERS: Final = frozenset({"drvfs", "vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuseblk"})


class NotOrdinary(OSError):
    """A pipe, a device or a folder where a file was meant: reading it might never end."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(errno.EINVAL, "it is no ordinary file, but a pipe, a device or a folder", str(path))


class WithoutOwners(UserWarning):
    """Where files have no owners, nobody can tell who may change them."""


def read_bounded(path: str | Path, *, most: int) -> bytes:
    """What an ordinary file holds, at most one byte more than `most`. Raises OSError; never waits for a writer."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotOrdinary(path)
        return file.read(most + 1)


def read_own(path: str | Path, *, most: int) -> bytes:
    """As `read_bounded`, of a file that no third account may change. Raises OSError and UsageError."""
    content = read_bounded(path, most=most)
    require_own(path)
    return content


def require_ordinary(path: str | Path) -> None:
    """For a file that a library opens by its name. Raises NotOrdinary for what is there and no file, OSError where nothing is."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise NotOrdinary(path)


def doubt(path: str | Path) -> str:
    """Why a file, or what a link leads to, may be another account's words, with the command to type; an empty text for none.

    Where files have no owners it is a warning, which the caller need not pass on.
    """
    if not (words := _doubt(path)) or not has_no_owners(path):
        return words
    _warn_of_no_owners(path)
    return ""


def _doubt(path: str | Path) -> str:
    trusted = _trusted()
    if words := _foreign_link(Path(path), trusted):
        return words
    real = Path(path).resolve()
    for place in (real, real.parent):
        try:
            if words := _writers(place, trusted, sticky=place != real):
                return words
        except OSError:
            continue  # opening it tells what is wrong
    return ""


def require_own(path: str | Path) -> None:
    """Raises UsageError for a file that a third account may write, or could have put there."""
    if words := doubt(path):
        raise UsageError(
            f"{path} is not read: another account may change it",
            why="What it says would be done with your rights and passwords.",
            try_=words,
        )


def require_state_folder(folder: Path, *, only_read: bool = False) -> None:
    """Raises UsageError for a folder of converge's own state that another account owns or may write.

    `only_read`: root and the owner of the current folder may keep what is only shown.
    """
    try:
        found = folder.stat()
    except OSError:
        return  # it is not there, or whoever opens it tells why it cannot be
    if not stat.S_ISDIR(found.st_mode):
        return
    if has_no_owners(folder):
        _warn_of_no_owners(folder)
        return
    if words := _writers(folder, _trusted() if only_read else {os.getuid()}, sticky=False):
        raise UsageError(
            f"the state folder {folder} is not used: another account may change it",
            why="Journals, plans and the keys that sign them lie there.",
            try_=words,
        )


def make_state_folder(folder: Path) -> None:
    """Make a folder of converge's own state, for its owner alone. Raises OSError, and UsageError as `require_state_folder`."""
    require_state_folder(folder)
    for place in (*reversed(folder.parents), folder):
        if not place.is_dir():
            place.mkdir(mode=FOLDER_OF_OWNER, exist_ok=True)


def is_stream(path: str | Path) -> bool:
    """Whether an output's name is no file's, but that of a device or of what is open already, like /dev/stdout or /dev/null.

    Raises NotOrdinary for anything else that is there and no file: a pipe with a name of its own would be waited for.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False  # there is nothing yet, or opening it tells why not
    if Path(os.path.abspath(path)).parts[1:2] in (("dev",), ("proc",)) and not stat.S_ISBLK(mode):
        return True
    if stat.S_ISREG(mode):
        return False
    if stat.S_ISCHR(mode) and os.path.realpath(path).startswith("/dev/"):
        return True
    raise NotOrdinary(path)


def create_output(path: str | Path, *, mode: int) -> int:
    """A descriptor to write a file anew; never through somebody else's link, nor into somebody else's file. Raises OSError."""
    if words := _foreign_link(Path(path), _trusted()):
        raise OSError(errno.ELOOP, words, str(path))
    is_stream(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, mode)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):
            if found.st_uid not in _trusted() and not has_no_owners(path):
                raise PermissionError(errno.EPERM, f"it belongs to {_name(found.st_uid)}", str(path))
            os.ftruncate(descriptor, 0)
            if mode == OWNER_ONLY and stat.S_IMODE(found.st_mode) != mode:
                os.fchmod(descriptor, mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def has_no_owners(path: str | Path, *, mounts: str | None = None) -> bool:
    """Whether a file lies where everybody seems to own everything, as under WSL's /mnt without `metadata`."""
    try:
        text = Path("/proc/self/mountinfo").read_text("utf-8", "replace") if mounts is None else mounts
    except OSError:
        return False
    best, found = "", ("", "")
    real = str(Path(path).resolve())
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        parts = rest.split()
        if len(fields.split()) < 5 or len(parts) < 2:
            continue
        point = fields.split()[4].encode().decode("unicode_escape")
        if len(point) >= len(best) and (real == point or real.startswith(point.rstrip("/") + "/")):
            best, found = point, (parts[0], " ".join(parts[1:]))
    kind, options = found
    return (kind in _WITHOUT_OWNERS or (kind == "9p" and "aname=drvfs" in options)) and "metadata" not in options


def _warn_of_no_owners(path: str | Path) -> None:
    real = Path(path).resolve()
    folder = real if real.is_dir() else real.parent
    warnings.warn(
        f"{folder} lies on a file system without owners: other accounts may change what converge reads there",
        WithoutOwners,
        stacklevel=2,
    )


def _trusted() -> set[int]:
    try:
        return {0, os.getuid(), os.stat(".").st_uid}
    except OSError:  # the current folder is gone
        return {0, os.getuid()}


def _foreign_link(path: Path, trusted: set[int]) -> str:
    """Why a link on the way to a file may be another account's, and what to name instead; an empty text for none."""
    way = Path(os.path.abspath(path))
    for place in (*reversed(way.parents), way):
        if not place.is_symlink():
            continue
        if place.lstat().st_uid not in trusted or _writers(place.parent, trusted, sticky=True):
            return f"name the file itself: {shlex.quote(str(place))} is a link in a folder that others may write to"
    return ""


def _writers(path: Path, trusted: set[int], *, sticky: bool) -> str:
    """Who beside the trusted may write, as the command that ends it; `sticky`: the bit that protects a folder's files counts."""
    found = path.stat()
    quoted = shlex.quote(str(path))
    if found.st_uid not in trusted:
        return f"chown {_name(os.getuid())} {quoted}  (it belongs to {_name(found.st_uid)})"
    if sticky and found.st_mode & stat.S_ISVTX:
        return ""
    if found.st_mode & stat.S_IWOTH:
        return f"chmod o-w {quoted}  (everybody may write to it)"
    if found.st_mode & stat.S_IWGRP and not _members(found.st_gid) <= trusted:
        return f"chmod g-w {quoted}  (the group {_group(found.st_gid)} may write to it)"
    return ""


@lru_cache(maxsize=256)
def _members(gid: int) -> set[int]:
    """The accounts of a group. A number without a group counts as somebody's, unless it is this account's own."""
    members = {entry.pw_uid for entry in pwd.getpwall() if entry.pw_gid == gid}
    try:
        names = grp.getgrgid(gid).gr_mem
    except KeyError:
        return members or ({os.getuid()} if gid == os.getegid() else {-1})
    for name in names:
        try:
            members.add(pwd.getpwnam(name).pw_uid)
        except KeyError:
            continue  # an account that is gone
    return members


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
