"""The kind `service`: a service that runs or not, how it is started, and from where."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from converge.errors import ResourceError
from converge.model.action import (
    AnyAction,
    ResumeService,
    SetServiceImagePath,
    SetServiceStartMode,
    StartService,
    StopService,
)
from converge.model.answer import Answers
from converge.model.change import WayBack
from converge.model.facts import EventRecord, ServiceFacts, ServiceState, StartMode
from converge.model.names import fold, same
from converge.model.query import AnyQuery, Events, OperatingSystem, Service
from converge.model.resource import Resource, State
from converge.windows import environment, paths, services
from converge.windows.fields import Duration, ServiceName

MANAGER = "Service Control Manager"
FAILURE_EVENTS = (7000, 7001, 7002, 7003, 7009, 7011, 7013, 7022, 7023, 7024, 7026, 7031, 7032, 7034, 7038, 7041)
"""What the service manager logs when services fail to start, end or hang (source Service Control Manager, log System)."""
_UP = (ServiceState.RUNNING, ServiceState.START_PENDING, ServiceState.CONTINUE_PENDING)
_HELD = (ServiceState.PAUSED, ServiceState.PAUSE_PENDING)


_NO_ERROR = (0, 1077)
"""Exit codes of a stopped service that did not fail; 1077: not started since Windows was."""


class DeclaredService(State):
    """How a service is. The image path only where it is declared."""

    state: ServiceState
    start_mode: StartMode
    image_path: str | None = None


class ServiceResource(Resource[DeclaredService]):
    """A service of the host. It must be installed: converge does not make services."""

    kind: ClassVar[str] = "service"
    explains_failures: ClassVar[bool] = True
    key_fields: ClassVar[tuple[str, ...]] = ("name",)
    settles_within: ClassVar[timedelta] = timedelta(seconds=60)
    way_back_summary: ClassVar[str] = "start mode, path and state are as they were before."
    example: ClassVar[str] = r"""
- name: Nothing is printed on servers
  service: {name: Spooler, running: false, start_mode: disabled}
"""

    name: ServiceName = Field(description="The short name, such as SMTPSVC.")
    running: bool | None = Field(None, description="Whether it is to run. A paused service does not; it is resumed.")
    start_mode: Literal["automatic", "manual", "disabled"] | None = Field(
        None, description="When it is started. Set before a start and after a stop."
    )
    image_path: str | None = Field(
        None,
        min_length=1,
        max_length=1024,
        pattern=r"^[^\x00-\x1f]+$",
        description="Its command line. Case and expansion of the path do not matter, nor quotes around one without blanks.",
    )
    settle: Duration = Field(5.0, description="Seconds after which it must still run.")
    if_it_fails: str = Field("", max_length=2000, description="What to try if it does not start: shown with the error.")

    @model_validator(mode="after")
    def _makes_sense(self) -> ServiceResource:
        if self.running is None and self.start_mode is None and self.image_path is None:
            raise ValueError("one of `running`, `start_mode` and `image_path` says what is wanted")
        if self.running and self.start_mode == "disabled":
            raise ValueError("a disabled service cannot be started: `running: true` and `start_mode: disabled`")
        return self

    @property
    def lasts(self) -> timedelta:
        """How long after it was reached the running service must still run."""
        return timedelta(seconds=self.settle if self.running else 0)

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The service; where it is to stop, those that need it."""
        asked: list[AnyQuery] = [Service(self.name), *environment.questions(self.image_path)]
        facts = known.known(Service(self.name))
        if facts is not None and self.image_path is not None:
            asked += environment.questions(facts.path_name)
        if facts is not None and self.running is False:
            asked += [Service(name) for name in facts.dependents]
        return asked

    def actual_state(self, answers: Answers) -> DeclaredService | None:
        """What the service manager says. Raises Undecided, Unpredictable."""
        facts = answers.value(Service(self.name))
        if facts is None:
            return None
        image_path = facts.path_name if self.image_path is not None else None
        return DeclaredService(state=facts.state, start_mode=facts.start_mode, image_path=image_path)

    def desired_state(self, actual: DeclaredService | None, answers: Answers) -> DeclaredService:
        """What is declared over what is. Raises ResourceError where the host would refuse it."""
        if actual is None:
            what = f"the service {self.name} is not installed"
            raise ResourceError(what, try_="install it first, by an earlier entry if need be")
        mode = StartMode(self.start_mode) if self.start_mode else actual.start_mode
        if self.running and actual.state is not ServiceState.RUNNING and mode is StartMode.DISABLED:
            what = f"the service {self.name} is disabled and cannot be started"
            raise ResourceError(what, try_="declare its `start_mode` too")
        if self.running is False and actual.state is not ServiceState.STOPPED:
            self._check_nobody_needs_it(answers)
        return DeclaredService(
            state=actual.state if self.running is None else _STATES[self.running],
            start_mode=mode,
            image_path=self._image_path(actual, answers),
        )

    def _image_path(self, actual: DeclaredService, answers: Answers) -> str | None:
        if self.image_path is None or actual.image_path is None:
            return self.image_path
        told = environment.expanded(actual.image_path, answers)
        wanted = environment.expanded(self.image_path, answers)
        return actual.image_path if paths.same_path(told, wanted) else self.image_path

    def _check_nobody_needs_it(self, answers: Answers) -> None:
        facts = answers.value(Service(self.name))
        for name in facts.needed_by() if facts else ():
            dependent = answers.value(Service(name))
            if dependent is not None and dependent.state is not ServiceState.STOPPED:
                what = f"the service {self.name} cannot be stopped while {name}, which needs it, runs"
                raise ResourceError(what, try_=f"stop {name} by an earlier entry")

    def actions(self, before: DeclaredService | None, after: DeclaredService | None, answers: Answers) -> Sequence[AnyAction]:
        """Command line, start mode before a start, start or stop, start mode after a stop."""
        if before is None or after is None:
            raise ResourceError(f"the service {self.name} cannot be made or removed")
        moves = list(self._moves(before.state, after.state))
        if answers.reverting and any(isinstance(move, StopService) for move in moves):
            self._check_nobody_needs_it(answers)
        first: list[AnyAction] = []
        if after.image_path is not None and before.image_path != after.image_path:
            first.append(SetServiceImagePath(self.name, after.image_path))
        mode = [SetServiceStartMode(self.name, after.start_mode)]
        if any(isinstance(move, StartService) for move in moves) and after.start_mode is StartMode.DISABLED:
            # As it was before: it ran although it was disabled since. It cannot be started while it is.
            startable = SetServiceStartMode(self.name, StartMode.MANUAL)
            return [*first, *([startable] if before.start_mode is StartMode.DISABLED else []), *moves, *mode]
        mode = mode if before.start_mode is not after.start_mode else []
        stops = any(isinstance(move, StopService) for move in moves)
        return [*first, *moves, *mode] if stops else [*first, *mode, *moves]

    def _moves(self, now: ServiceState, wanted: ServiceState) -> Iterator[AnyAction]:
        """Start, resume or stop. What is pending in the wanted direction only needs time."""
        if now is wanted:
            return
        if wanted in (*_UP, *_HELD):
            if now in _HELD:
                yield ResumeService(self.name)
            elif now not in _UP:
                yield StartService(self.name)
        elif now not in (ServiceState.STOPPED, ServiceState.STOP_PENDING):
            yield StopService(self.name)

    def queries_to_undo(self, known: Answers) -> Collection[AnyQuery]:
        """Those that need it: it may have to be stopped."""
        facts = known.known(Service(self.name))
        return [OperatingSystem(), *(Service(name) for name in (facts.dependents if facts else ()))]

    def has_failed(self, answers: Answers) -> bool:
        """Whether it was to run and has ended with an error. The service manager may be set to start it again."""
        facts = answers.known(Service(self.name))
        if not self.running or facts is None or facts.state is not ServiceState.STOPPED:
            return False
        return facts.specific_exit_code != 0 or facts.exit_code not in _NO_ERROR

    def agree(self, left: DeclaredService | None, right: DeclaredService | None, answers: Answers) -> bool:
        """Running, starting and paused are one: none of them is told apart once time has passed."""
        if left is None or right is None:
            return left == right
        up = (*_UP, *_HELD)
        texts = [environment.expanded(state.image_path or "", answers) for state in (left, right)]
        return (
            left.start_mode is right.start_mode
            and (left.state in up) == (right.state in up)
            and paths.same_path(texts[0], texts[1])
        )

    def way_back(self, before: DeclaredService | None, after: DeclaredService | None) -> WayBack:
        """Full, but for a pause and for the raw text of a command line, which the service manager does not tell."""
        if before is None or after is None:
            return WayBack()
        if before.image_path != after.image_path:
            return WayBack("partial", "the command line comes back as the service manager shows it, expanded")
        if before.state in _HELD and after.state not in _HELD:
            return WayBack("partial", "the service would be running, not paused, again")
        return WayBack()

    def notes(self, answers: Answers) -> Sequence[str]:
        """That it is changing by itself at this moment."""
        facts = answers.known(Service(self.name))
        if facts is not None and facts.state.pending and self.running is not None:
            return (f"{self.name} is {facts.state.value.replace('_', ' ')}",)
        return ()

    def diagnosis_queries(self, since: datetime) -> Sequence[AnyQuery]:
        """What tells why it did not start: its exit codes, and what the service manager logged since, by the host's clock."""
        moment = since.replace(microsecond=0) - timedelta(seconds=1)  # events are dated in whole seconds
        return (Service(self.name), Events("System", MANAGER, FAILURE_EVENTS, moment, limit=20, messages=True))

    def explain(self, answers: Answers) -> str:
        """Exit codes with their names, the events, and the other way that the playbook names."""
        lines = []
        facts = answers.known(Service(self.name))
        if facts is not None and facts.state is not ServiceState.RUNNING:
            lines.append(
                f"{self.name} is {facts.state.value}; exit code {services.describe_exit_code(facts.exit_code)}"
            )
            if facts.specific_exit_code:
                lines[-1] += f"; service-specific exit code {facts.specific_exit_code}"
        for query in answers:
            if isinstance(query, Events) and query.messages and same(query.source, MANAGER):
                lines += [_told(event) for event in answers.known(query) or () if self._is_about(event, facts)]
        if self.if_it_fails:
            lines.append(f"If it still does not start: {self.if_it_fails}")
        return "\n".join(dict.fromkeys(lines))

    def _is_about(self, event: EventRecord, facts: ServiceFacts | None) -> bool:
        """Whether an event names this service, or names none at all."""
        names = {fold(self.name), fold(facts.display_name if facts else self.name)}
        told = {fold(text) for text in event.strings}
        text = fold(event.message or "")
        return not event.strings or not event.strings[0] or bool(names & told) or any(name in text for name in names)


_STATES = {True: ServiceState.RUNNING, False: ServiceState.STOPPED}


def _told(event: EventRecord) -> str:
    text = " ".join((event.message or "; ".join(event.strings)).split())
    return f"System log, {event.time:%Y-%m-%d %H:%M:%S}, event {event.id}: {text[:500]}"
