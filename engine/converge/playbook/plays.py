"""Plays: read from a file's tree, checked as a whole, and compiled."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta

from pydantic import ValidationError

from converge.model.play import EventSymptom, Play, Scope, Symptoms
from converge.model.position import Position
from converge.model.rollout import Rollout, Share, parse_batches
from converge.playbook.ansible import play_keyword_hint
from converge.playbook.checking import problems_of
from converge.playbook.conditions import read_applicability
from converge.playbook.discovery import read_discovery
from converge.playbook.entries import EntryReader, Kinds, listed, read_entries, words
from converge.playbook.forms import PlayForm
from converge.playbook.links import check_links
from converge.playbook.templates import Value, read_value
from converge.playbook.variables import RESERVED, Names, Variables, check_cycles
from converge.reading.problems import Problems
from converge.reading.spelling import did_you_mean, shown
from converge.reading.tree import Listing, Node, Scalar, Table, kind_of, plain

_AN_EXAMPLE = "- name: ...\n    hosts: ...\n    resources: [...]"


def read_plays(root: Node, *, kinds: Kinds, known_variables: Collection[str], problems: Problems) -> list[Play]:
    """The plays of one file, in its order. What is wrong is noted, and the play left out."""
    if isinstance(root, Scalar) and root.value is None:
        problems.error(Position(root.position.file, 0, 0), "the file holds no play", expected="a list of plays")
        return []
    if not isinstance(root, Listing):
        looks_like_play = isinstance(root, Table) and "hosts" in root.items
        hint = "put a dash before it: - name: ..." if looks_like_play else ""
        problems.error(
            root.position, f"a playbook is a list of plays, not {kind_of(root)}", expected=_AN_EXAMPLE, hint=hint
        )
        return []
    if not root.items:
        problems.error(root.position, "the file holds no play", expected="a list of plays")
    plays = []
    for item in root.items:
        if problems.full:
            break
        if isinstance(item, Table):
            play = _Play(item, kinds=kinds, known_variables=known_variables, problems=problems).read()
            plays += [play] if play is not None else []
        else:
            problems.error(item.position, f"a play is a mapping, not {kind_of(item)}", expected=_AN_EXAMPLE)
    return plays


class _Play:
    def __init__(self, node: Table, *, kinds: Kinds, known_variables: Collection[str], problems: Problems) -> None:
        self._node = node
        self._kinds = kinds
        self._known = known_variables
        self._problems = problems
        self._found = len(problems)

    def read(self) -> Play | None:
        """The play; None once what is wrong with it is noted."""
        form = self._form()
        variables = self._variables()
        discovered = self._table_keys("discover")
        self._check_names()
        names = Names({*variables, *discovered}, outside=self._known, problems=self._problems)
        for value, _ in variables.values():
            names.check(value)
        check_cycles(variables, self._problems)
        for name in discovered:
            if name in variables:
                self._problems.error(
                    self._place("discover", name),
                    f"{name} is both under vars and under discover",
                    hint="keep one of them",
                )

        def names_before(found: Collection[str]) -> Names:
            return Names({*variables, *found}, outside=self._known, problems=self._problems)

        items = self._node.items
        discovery = read_discovery(items.get("discover"), names=names_before, problems=self._problems)
        applies_when = read_applicability(items.get("applies_when"), names=names, problems=self._problems)
        reader = EntryReader(self._kinds, names, self._problems)
        tags = words(form.tags) if form else frozenset()
        entries = read_entries(items.get("resources"), reader, tags=tags, handlers=False)
        handlers = read_entries(items.get("handlers"), reader, tags=tags, handlers=True)
        check_links(self._node, self._problems)
        if form is None or len(self._problems) > self._found:
            return None
        return Play(
            name=form.name,
            file=self._node.position.file,
            hosts=",".join(listed(form.hosts)),
            order=form.order,
            position=self._node.position,
            scope=_scope_of(variables),
            article=form.article,
            discover=discovery,
            applies_when=applies_when,
            entries=entries,
            handlers=handlers,
            symptoms=_symptoms(form),
            warning=form.warning,
            rollout=_rollout(form),
        )

    def _form(self) -> PlayForm | None:
        fields = {field.alias or name for name, field in PlayForm.model_fields.items()}
        for key in self._node.items:
            if key not in fields:
                hint = play_keyword_hint(key) or (f"put {key} under resources" if key in self._kinds else "")
                self._problems.error(self._node.place(key), f"unknown key {key}", hint=hint or did_you_mean(key, fields))
        foreign = any(key not in fields and play_keyword_hint(key) for key in self._node.items)
        own = Table(
            self._node.position,
            {key: item for key, item in self._node.items.items() if key in fields},
            self._node.keys,
        )
        order = own.items.get("order")
        if isinstance(order, Scalar) and isinstance(order.value, str):
            hint = "known from Ansible: the order of hosts; here `order` sorts playbooks"
            self._problems.error(order.position, f"order takes a whole number, not {shown(order.value)}", hint=hint)
            own = Table(own.position, {key: item for key, item in own.items.items() if key != "order"}, own.keys)
        try:
            return PlayForm.model_validate(plain(own))
        except ValidationError as error:
            self._problems.extend(problems_of(error, own, models=(PlayForm,), kind="play", foreign=foreign))
            return None

    def _variables(self) -> Mapping[str, tuple[Value, Position]]:
        node = self._node.items.get("vars")
        if not isinstance(node, Table):
            return {}
        return {
            name: (read_value(item, self._problems, conditions=False), node.place(name))
            for name, item in node.items.items()
        }

    def _table_keys(self, key: str) -> tuple[str, ...]:
        node = self._node.items.get(key)
        return tuple(node.items) if isinstance(node, Table) else ()

    def _place(self, key: str, name: str) -> Position:
        node = self._node.items[key]
        return node.place(name) if isinstance(node, Table) else node.position

    def _check_names(self) -> None:
        for key in ("vars", "discover"):
            for name in self._table_keys(key):
                if name in RESERVED:
                    message = f"{name} has a meaning of its own and cannot be a variable's name"
                    self._problems.error(self._place(key, name), message, hint="call it otherwise")
                elif not name.isidentifier() or not name.isascii():
                    message = f"{name} cannot be a variable's name"
                    self._problems.error(self._place(key, name), message, expected="letters, digits and underscores")


def _scope_of(
    variables: Mapping[str, tuple[Value, Position]],
) -> Callable[[Mapping[str, object], Mapping[str, object], Mapping[str, object]], Scope]:
    def scope(host: Mapping[str, object], facts: Mapping[str, object], discovered: Mapping[str, object]) -> Scope:
        return Variables(variables, host=host, facts=facts, discovered=discovered)

    return scope


def _rollout(form: PlayForm) -> Rollout:
    limit = Share.parse(form.max_failures) if form.max_failures is not None else None
    return Rollout(parse_batches(form.batch), limit, ",".join(listed(form.canary)), form.soak)


def _symptoms(form: PlayForm) -> Symptoms:
    events = tuple(
        EventSymptom(event.log, event.source, tuple(event.ids), timedelta(seconds=event.within), event.message, event.says)
        for event in form.symptoms.events
    )
    return Symptoms(events, tuple(form.symptoms.dialogs))
