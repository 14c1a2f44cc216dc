"""Every error converge raises on purpose.

ConvergeError                what went wrong, why, and what to do about it
├── InputErrors              what the user wrote is wrong; holds every problem found, each with its position (exit 1)
├── UsageError               options or arguments that make no sense together (exit 1)
├── JournalUnavailable       nothing can be written down, so nothing may be done
│   └── LeaseLost            another run has taken the host over: nothing more may be done to it
├── Held                     another run is at work on this host
├── HostUnreachable          no conversation with this host
│   ├── LoginRefused         the host does not accept the account or its password
│   ├── LoginNotTried        held back so as not to lock the account
│   └── DeadlineExceeded     the host took longer than it was given
├── ActionRefused            the host said no to an action; nothing was changed by it
├── Interrupted              the connection was lost during an action; it is not known whether it was done
├── ResourceError            a resource cannot be brought to its desired state
│   ├── NotConverged         every action was done, and verification found another state
│   └── NotAsked             a kind looked at an answer that it had not asked for: a fault of the kind
├── Undecided                an answer that a decision rests on was refused
├── Unpredictable               an answer that only a command will bring, asked for in a rehearsal
└── WireError                bytes that are not what the protocol says
    ├── LocalProtocolError   we were about to send something wrong: a bug in converge
    └── RemoteProtocolError  the other end sent something wrong
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class ConvergeError(Exception):
    """What went wrong (`what`), the cause if it is known (`why`), the remedy if there is one (`try_`), and a stable `code`."""

    code = "error"

    def __init__(self, what: str, *, why: str = "", try_: str = "", code: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.try_ = try_
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        lines = [f"{self.what} [{self.code}]"]
        if self.why:
            lines.append(self.why)
        if self.try_:
            lines.append(f"Try: {self.try_}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class InputProblem:
    """One thing that is wrong in a file a user wrote. Line and column count from 1; 0 means the whole file."""

    file: str
    line: int
    column: int
    message: str
    expected: str = ""
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        text = f"{place}: {self.message}"
        if self.expected:
            text += f"\n  expected: {self.expected}"
        if self.hint:
            text += f"\n  hint: {self.hint}"
        return text


class InputErrors(ConvergeError):
    """Everything found wrong in the user's files, all at once."""

    code = "input"

    def __init__(self, problems: Iterable[InputProblem], *, warnings: Iterable[InputProblem] = ()) -> None:
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        """What is odd besides, for who lints."""
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __str__(self) -> str:
        return self.what


class UsageError(ConvergeError):
    """Options or arguments that cannot be meant."""

    code = "usage"


class JournalUnavailable(ConvergeError):
    """The journal cannot be written: nothing may be done that it could not tell of."""

    code = "journal-unavailable"


class StoreEmpty(JournalUnavailable):
    """Nothing was ever recorded in the store: somebody begins with it, or found no space."""


class StoreLost(JournalUnavailable):
    """A store that was used before is empty, gone or another one: what earlier runs did is not known."""

    code = "store-lost"


class LeaseLost(JournalUnavailable):
    """The lease on a host ran out and another run took it over: nothing more may be done to the host."""

    code = "lease-lost"


class Held(ConvergeError):
    """Another run holds the lease of this host."""

    code = "held"


class HostUnreachable(ConvergeError):
    """There is no conversation with this host."""

    code = "unreachable"


class LoginRefused(HostUnreachable):
    """The host answered and does not accept the account or its password."""

    code = "login-refused"


class LoginNotTried(HostUnreachable):
    """The login was held back: another refusal could lock the account."""

    code = "login-not-tried"


class DeadlineExceeded(HostUnreachable):
    """The host took longer than it was given."""

    code = "deadline"


class ActionRefused(ConvergeError):
    """The host said no to an action. What it was asked was not done."""

    code = "action-refused"


class Interrupted(ConvergeError):
    """The line broke while an action was under way. Only looking again can tell whether it was done."""

    code = "interrupted"


class ResourceError(ConvergeError):
    """A resource cannot be brought to its desired state, for a reason known before or after trying."""

    code = "cannot-converge"


class NotConverged(ResourceError):
    """Every action was done, and looking again still shows another state."""

    code = "not-converged"


class NotAsked(ResourceError):
    """A kind looked at an answer that its `queries` had not asked for. `query` is the question in words."""

    code = "not-asked"

    def __init__(self, query: str, *, kind: str = "") -> None:
        super().__init__(
            f"{f'the kind {kind}' if kind else 'its kind'} looked at {query} without having asked for it",
            try_="this is a fault of the kind: its `queries` must name every question whose answer it looks at",
        )
        self.query = query


class Undecided(ConvergeError):
    """An answer that a decision rests on was refused: `refusal` is its code."""

    code = "undecided"

    def __init__(self, what: str, *, why: str = "", try_: str = "", refusal: str = "") -> None:
        super().__init__(what, why=why, try_=try_)
        self.refusal = refusal


class Unpredictable(ConvergeError):
    """A rehearsal cannot know this answer: `after` names the entry whose effect would decide it."""

    code = "unpredictable"

    def __init__(self, after: str) -> None:
        super().__init__(f"decided after {after}")
        self.after = after


class WireError(ConvergeError):
    """Bytes that are not what the protocol says."""

    code = "wire"


class LocalProtocolError(WireError):
    """We were about to send something the protocol does not allow."""

    code = "local-protocol"


class RemoteProtocolError(WireError):
    """The other end sent something the protocol does not allow, or more than is accepted."""

    code = "remote-protocol"
