"""Entries of `resources:` and `handlers:`: read, checked, and compiled into what apply walks through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pydantic import BaseModel, ValidationError

from converge.model.play import Declared, Entry, Scope
from converge.model.position import Position
from converge.model.resource import ProcedureResource, Resource
from converge.playbook.ansible import entry_keyword_hint
from converge.playbook.bodies import Body, read_body
from converge.playbook.checking import problems_of
from converge.playbook.conditions import read_applicability, read_condition
from converge.playbook.expressions import Mention
from converge.playbook.forms import EntryForm, HandlerForm, StepForm
from converge.playbook.templates import Constant, Value, read_truth, read_value
from converge.playbook.variables import Names, Variables
from converge.reading.problems import Problems, failure
from converge.reading.spelling import did_you_mean, shown
from converge.reading.tree import Listing, Node, Scalar, Table, kind_of, plain

Kinds = Mapping[str, type[Resource]]
MAX_LOOP = 10_000
MAX_KEPT = 256  # different declarations of one entry
_STEPS = "steps"


@dataclass(frozen=True, slots=True)
class EntryReader:
    """What entries of one play are read with."""

    kinds: Kinds
    names: Names
    problems: Problems
    declared: dict[tuple[object, ...], Position] = field(default_factory=dict)
    """Resources that are the same for every host and always declared, by identity."""


@dataclass
class Draft:
    """An entry as it was read: what it is called, when it counts, what it loops over, and its body."""

    kind: str
    node: Table
    form: BaseModel
    name: Value | None
    when: tuple[Value, ...]
    loop: Value | None
    body: Body
    steps: tuple[Draft, ...] = ()
    _kept: dict[bytes, tuple[Declared, ...]] = field(default_factory=dict, repr=False)

    @cached_property
    def mentions(self) -> tuple[Mention, ...]:
        """Everything but the loop's item that what it declares rests on, each once."""
        values = [self.body.value, self.name, self.loop, *(value for value in self.when if _names_item(value))]
        own = [mention for value in values if value is not None for mention, _ in value.mentions()]
        inner = [mention for step in self.steps for mention in step.mentions]
        return tuple(dict.fromkeys(mention for mention in (*own, *inner) if mention.name != "item"))

    @cached_property
    def is_sensitive(self) -> bool:
        """Whether somebody said that no value of it may be shown."""
        return self.body.sensitive or any(step.is_sensitive for step in self.steps)

    def declare(self, scope: Variables) -> tuple[Declared, ...]:
        """What the entry declares for one host. Raises InputErrors.

        Hosts for which it rests on the same share it: resources cannot be changed. What holds a secret is never kept.
        """
        digest = scope.digest(self.mentions)
        found = self._kept.get(digest) if digest is not None else None
        if found is None:
            found = tuple(self._declare(scope))
            if digest is not None and not self.is_sensitive:
                if len(self._kept) >= MAX_KEPT:
                    self._kept.clear()
                self._kept[digest] = found
        return found

    def holds(self, scope: Variables) -> bool:
        """Whether every `when` that does not speak of the loop's item holds. Raises InputErrors."""
        return all(value.render(scope) for value in self.when if not _names_item(value))

    def _declare(self, scope: Variables) -> Iterator[Declared]:
        """One for each item of its loop."""
        if self.loop is None:
            yield self._declared(scope, label="")
            return
        scope.secret_used = False
        items = self.loop.render(scope)
        secret = scope.secret_used
        of_items = [value for value in self.when if _names_item(value)]
        for number, item in enumerate(self._checked_items(items), start=1):
            inner = scope.with_item(item, secret=secret)
            if all(value.render(inner) for value in of_items):
                short = isinstance(item, str | int) and not secret and len(str(item)) <= 100
                yield self._declared(inner, label=str(item) if short else f"number {number}")

    def _checked_items(self, items: object) -> list[object]:
        if not isinstance(items, list):
            hint = "put it into a list: [...]" if isinstance(items, str) else ""
            raise failure(self.node.place("loop"), f"loop takes a list, not {type(items).__name__}", hint=hint)
        if len(items) > MAX_LOOP:
            raise failure(self.node.place("loop"), f"the loop has {len(items)} items, and {MAX_LOOP} are the most")
        return items

    def _declared(self, scope: Variables, *, label: str) -> Declared:
        if self.body.fixed is not None and self.name is None:
            return Declared(self.body.fixed.address, self.body.fixed)
        name = self._rendered_name(scope)
        if label and name and self.name is not None and self.name.constant:
            name = f"{name} ({label})"
        resource, secret = self._resource(scope)
        if secret:
            self._refuse_secret_key(scope)
        return Declared(name or resource.address, resource, sensitive=secret)

    def _resource(self, scope: Variables) -> tuple[Resource, bool]:
        if self.body.fixed is not None:
            return self.body.fixed, False
        raw, secret = self.body.rendered(scope)
        if not self.steps:
            return self.body.validated(raw, secret=secret), secret
        steps: list[dict[str, object]] = []
        for step in self.steps:
            for declared in step.declare(scope) if step.holds(scope) else ():
                steps.append({"name": declared.name, step.kind: declared.resource})
                secret = secret or declared.sensitive
        return self.body.validated({**raw, _STEPS: steps}, secret=secret), secret

    def _rendered_name(self, scope: Variables) -> str:
        if self.name is None:
            return ""
        scope.secret_used = False
        name = str(self.name.render(scope))
        if scope.secret_used:
            raise failure(
                self.node.place("name"), "a secret would be shown in this name", hint="leave it out of the name"
            )
        return name

    def _refuse_secret_key(self, scope: Variables) -> None:
        """What tells a resource apart is shown everywhere, so no secret may be part of it."""
        table = self.body.node
        for key in _telling_apart(self.body.kind):
            if key not in table.items:
                continue
            scope.secret_used = False
            read_value(table.items[key], Problems()).render(scope)
            if scope.secret_used:
                raise failure(table.place(key), f"a secret would be shown: {key} is part of the resource's name")


def _names_item(value: Value) -> bool:
    return any(mention.name == "item" for mention, _ in value.mentions())


def read_entries(node: Node | None, reader: EntryReader, *, tags: frozenset[str], handlers: bool) -> tuple[Entry, ...]:
    """The entries of a list, in order; those that are wrong are noted and left out."""
    if not isinstance(node, Listing):
        return ()
    found = []
    for item in node.items:
        if reader.problems.full:
            break
        draft = _read_draft(item, reader, HandlerForm if handlers else EntryForm) if isinstance(item, Table) else None
        if draft is not None:
            _check_place(draft, reader, handler=handlers)
            found.append(_entry(draft, reader, tags=tags))
    return tuple(found)


def _check_place(draft: Draft, reader: EntryReader, *, handler: bool) -> None:
    """Note a kind that may not stand where it stands, and a resource that is declared already."""
    problems = reader.problems
    kind = draft.body.kind
    place = draft.node.place(draft.kind)
    if handler:
        if not (kind.handler_only or draft.kind == "command"):
            problems.error(place, f"{draft.kind} cannot be a handler", hint="put it under resources")
        if draft.name is not None and not draft.name.constant:
            problems.error(draft.node.place("name"), "the name of a handler holds no expressions")
        return
    if kind.handler_only:
        problems.error(place, f"{draft.kind} is a handler, not a resource", hint="put it under handlers, and notify it")
    if draft.body.fixed is None or draft.when or draft.loop is not None:
        return
    first = reader.declared.setdefault(draft.body.fixed.identity, draft.node.position)
    if first is not draft.node.position:
        hint = f"the other is in line {first.line}; leave one of them"
        problems.error(draft.node.position, f"{draft.body.fixed.address} is declared twice in this play", hint=hint)


def _entry(draft: Draft, reader: EntryReader, *, tags: frozenset[str]) -> Entry:
    form = draft.form
    items = draft.node.items
    needed = items.get("needed_when")

    def when(scope: Scope) -> bool:
        return draft.holds(Variables.of(scope))

    def declare(scope: Scope) -> tuple[Declared, ...]:
        return draft.declare(Variables.of(scope))

    return Entry(
        name=getattr(form, "name", "") or _title(draft),
        kind=draft.kind,
        position=draft.node.position,
        when=when,
        declare=declare,
        tags=tags | words(getattr(form, "tags", [])),
        notify=listed(getattr(form, "notify", [])),
        requires=listed(getattr(form, "requires", [])),
        sensitive=bool(getattr(form, "sensitive", False)),
        only_if=read_applicability(items["only_if"], names=reader.names, problems=reader.problems)
        if "only_if" in items
        else (),
        beyond_article=tuple(getattr(form, "beyond_article", {}).items()),
        shows_cause=bool(getattr(form, "shows_cause", True)),
        needed_when=read_condition(needed, names=reader.names, problems=reader.problems) if needed else None,
    )


def _title(draft: Draft) -> str:
    """What an entry without a name is called: its resource's address, or its kind and what tells it apart."""
    if draft.body.fixed is not None:
        return draft.body.fixed.address
    table = draft.body.node.items
    told = [str(plain(table[key])) for key in _telling_apart(draft.body.kind) if isinstance(table.get(key), Scalar)]
    return f"{draft.kind}:" + "\\".join(told)


def _telling_apart(kind: type[Resource]) -> tuple[str, ...]:
    """The keys of a body that tell a resource apart."""
    return kind.key_fields or ("key", "name", "path")


def listed(value: object) -> tuple[str, ...]:
    """One text or a list of texts."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else ()


def words(value: object) -> frozenset[str]:
    """Tags: a text with commas, or a list of such texts."""
    return frozenset(word.strip() for text in listed(value) for word in text.split(",") if word.strip())


def _read_draft(node: Table, reader: EntryReader, form_type: type[BaseModel]) -> Draft | None:
    """One entry; None once what is wrong with it is noted."""
    kind = _kind_of_entry(node, reader, form_type)
    beside = {key: item for key, item in node.items.items() if key != kind and key in form_type.model_fields}
    own = Table(node.position, beside, node.keys)
    form: BaseModel | None = None
    try:
        form = form_type.model_validate(plain(own))
    except ValidationError as error:
        reader.problems.extend(problems_of(error, own, models=(form_type,), kind=kind or "entry"))
    loop = _read_loop(own, reader)
    in_loop = "loop" in beside
    when = _read_when(own.items.get("when"), reader, in_loop=in_loop)
    name = _read_name(own, reader, in_loop=in_loop)
    if kind is None:
        return None
    body, steps = _read_kind(node, kind, reader, form=form, in_loop=in_loop)
    if body is None or form is None:
        return None
    return Draft(kind, node, form, name, when, loop, body, steps)


def _read_kind(
    node: Table, kind: str, reader: EntryReader, *, form: BaseModel | None, in_loop: bool
) -> tuple[Body | None, tuple[Draft, ...]]:
    model = reader.kinds[kind]
    inner = node.items[kind]
    steps: tuple[Draft, ...] = ()
    skipping: tuple[str, ...] = ()
    if issubclass(model, ProcedureResource) and isinstance(inner, Table) and _STEPS in inner.items:
        skipping = (_STEPS,)
        steps = _read_steps(inner.items[_STEPS], reader)
    body = read_body(
        model,
        inner,
        names=reader.names,
        problems=reader.problems,
        in_loop=in_loop,
        sensitive=bool(getattr(form, "sensitive", False)),
        skipping=skipping,
    )
    return body, steps


def _read_steps(node: Node, reader: EntryReader) -> tuple[Draft, ...]:
    problems = reader.problems
    if not isinstance(node, Listing) or not node.items:
        problems.error(node.position, f"steps takes a list of entries, not {kind_of(node)}", expected="- KIND: {...}")
        return ()
    found: list[Draft] = []
    seen: dict[str, Position] = {}
    for item in node.items:
        if not isinstance(item, Table):
            problems.error(
                item.position, f"a step is a mapping, not {kind_of(item)}", expected="- name: ...\n  KIND: {...}"
            )
            continue
        draft = _read_draft(item, reader, StepForm)
        if draft is None:
            continue
        if issubclass(draft.body.kind, ProcedureResource) or draft.body.kind.handler_only:
            problems.error(item.place(draft.kind), f"{draft.kind} cannot be a step of a procedure")
        name = str(getattr(draft.form, "name", ""))
        if name and name in seen:
            problems.error(
                item.place("name"), f"two steps are called {name}", hint=f"the other is in line {seen[name].line}"
            )
        seen[name] = item.position
        found.append(draft)
    return tuple(found)


def _kind_of_entry(node: Table, reader: EntryReader, form_type: type[BaseModel]) -> str | None:
    """The one key of an entry that is a kind. Keys that are neither kind nor known are noted."""
    problems = reader.problems
    fields = form_type.model_fields
    kinds = [key for key in node.items if key in reader.kinds and key not in fields]
    strangers = [key for key in node.items if key not in reader.kinds and key not in fields]
    for key in strangers:
        hint = entry_keyword_hint(key)
        if not hint and key in EntryForm.model_fields:
            hint = "it has no meaning here"
        hint = hint or did_you_mean(key, [*fields, *reader.kinds])
        expected = f"a kind ({', '.join(sorted(reader.kinds))})" if not kinds and not hint else ""
        problems.error(node.place(key), f"unknown key {key}", expected=expected, hint=hint)
    if len(kinds) > 1:
        problems.error(
            node.place(kinds[1]), f"{kinds[1]} stands beside {kinds[0]}: an entry has one kind", hint="make two entries"
        )
    elif not kinds and not strangers:
        problems.error(node.position, "the entry has no kind", expected=f"one of {', '.join(sorted(reader.kinds))}")
    return kinds[0] if len(kinds) == 1 else None


def _read_name(own: Table, reader: EntryReader, *, in_loop: bool) -> Value | None:
    node = own.items.get("name")
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        return None
    value = read_value(node, reader.problems)
    reader.names.check(value, in_loop=in_loop)
    return value


def _read_when(node: Node | None, reader: EntryReader, *, in_loop: bool) -> tuple[Value, ...]:
    if node is None:
        return ()
    values = tuple(read_truth(item, reader.problems) for item in (node.items if isinstance(node, Listing) else (node,)))
    for value in values:
        reader.names.check(value, in_loop=in_loop)
    return tuple(value for value in values if not (isinstance(value, Constant) and value.value is True))


def _read_loop(own: Table, reader: EntryReader) -> Value | None:
    node = own.items.get("loop")
    if node is None:
        return None
    value = read_value(node, reader.problems, conditions=False)
    reader.names.check(value)
    if isinstance(value, Constant) and not isinstance(value.value, list):
        hint = "put it into a list: [...]; a variable is written '{{ NAME }}'" if isinstance(value.value, str) else ""
        reader.problems.error(node.position, f"loop takes a list, not {shown(value.value)}", expected="a list", hint=hint)
    return value
