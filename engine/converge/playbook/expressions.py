"""Expressions: what stands between {{ and }}, or bare in `when`; checked when read, compiled when first used."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError, nodes
from jinja2.environment import Template
from jinja2.parser import Parser

from converge.playbook.sandbox import FILTERS, SANDBOX, TESTS, settled
from converge.reading.sandbox import Unusable
from converge.reading.spelling import did_you_mean

MAX_LENGTH = 8192
MAX_DEPTH = 60
_STATEMENT = re.compile(r"\{%-?\s*(?:if|for|set|macro|raw|include|import|from|block|call|filter|else|elif|end\w+)\b")
_CONTROL = re.compile(r"[\x00-\x1f]")
_UNDEFINED = re.compile(r"'(\w+)' is undefined")
_OPTIONAL_FILTERS = ("default", "d")
_OPTIONAL_TESTS = ("defined", "undefined")
_FAILURES = (
    TemplateError, Unusable, ArithmeticError, TypeError, ValueError, LookupError, AttributeError, RecursionError,
    MemoryError, SyntaxError,
)  # fmt: skip
"""What working out an expression may raise; anything else is a bug in converge."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A variable that an expression names: with the attributes that follow it, and whether it may be missing."""

    name: str
    attributes: tuple[str, ...] = ()
    optional: bool = False


class CompiledExpression:
    """One expression. It keeps the type of what it comes to. `mentions` are the variables it names."""

    __slots__ = ("_compiled", "_lone_name", "_tree", "mentions")

    def __init__(self, tree: nodes.Expr) -> None:
        self._tree = tree
        self._compiled: Template | None = None
        self._lone_name = tree.name if isinstance(tree, nodes.Name) else ""
        self.mentions = tuple(dict.fromkeys(_mentions(tree)))

    def evaluate(self, scope: Mapping[str, object]) -> object:
        """What it comes to as plain data. Raises Unusable; and what the scope raises for its variables."""
        try:
            if self._lone_name:
                if self._lone_name not in scope:
                    raise Unusable(f"the variable {self._lone_name} has no value for this host")
                return settled(scope[self._lone_name])
            return settled(self._worked_out(scope))
        except Unusable:
            raise
        except _FAILURES as error:
            raise Unusable(_in_words(error)) from None

    def _worked_out(self, scope: Mapping[str, object]) -> object:
        if self._compiled is None:
            assignment = nodes.Assign(nodes.Name("result", "store"), self._tree, lineno=1)
            tree = nodes.Template([assignment], lineno=1)
            tree.set_environment(SANDBOX)
            self._compiled = SANDBOX.from_string(tree)
        # `shared` hands the scope itself over, so that only the variables that are named are worked out.
        context = self._compiled.new_context(cast("dict[str, object]", scope), shared=True)
        for _ in self._compiled.root_render_func(context):
            pass
        return context.vars["result"]


@lru_cache(maxsize=4096)
def parse_bare(text: str) -> CompiledExpression:
    """An expression without braces, as in `when`. Raises Unusable."""
    if "{{" in text:
        raise Unusable("a bare expression stands here", hint="leave out the braces: {{ and }}")
    if not text.strip() or len(text) > MAX_LENGTH:
        raise Unusable(f"an expression of 1 to {MAX_LENGTH} characters stands here")
    return CompiledExpression(_checked(_parse_expression(text)))


@lru_cache(maxsize=4096)
def parse_template(text: str) -> tuple[str | CompiledExpression, ...]:
    """A text with expressions as its pieces, in order. Raises Unusable."""
    if _STATEMENT.search(text):
        raise Unusable(
            "only expressions, {{ ... }}, are known", hint="instead of {% ... %} use when, loop, or A if B else C"
        )
    if "{{" not in text:
        return (text,)
    tree = _parsed(text)
    pieces: list[str | CompiledExpression] = []
    for output in cast("list[nodes.Output]", tree.body):
        for node in output.nodes:
            if isinstance(node, nodes.TemplateData):
                pieces.append(node.data)
            else:
                pieces.append(CompiledExpression(_checked(node)))
    return tuple(pieces)


def _parse_expression(text: str) -> nodes.Expr:
    with _syntax_in_words():
        parser = Parser(SANDBOX, text, state="variable")
        tree = parser.parse_expression()
        if not parser.stream.eos:
            parser.fail(f"unexpected {parser.stream.current.value!r}", parser.stream.current.lineno)
    tree.set_environment(SANDBOX)
    return tree


def _parsed(text: str) -> nodes.Template:
    with _syntax_in_words():
        return SANDBOX.parse(text)


@contextmanager
def _syntax_in_words() -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # of Python, about backslashes in texts of the expression
            yield
    except TemplateSyntaxError as error:
        hint = "inside an expression write \\\\ for each backslash" if "escape" in str(error.message) else ""
        raise Unusable(f"the expression is not right: {error.message}", hint=hint) from None
    except (RecursionError, MemoryError):
        raise Unusable("the expression is nested too deeply") from None


def _checked(tree: nodes.Expr) -> nodes.Expr:
    """The expression itself, known to be shallow and to use only what is there. Raises Unusable."""
    level: list[nodes.Node] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in node.iter_child_nodes()]
        if not level:
            break
    else:
        raise Unusable(f"the expression is nested deeper than {MAX_DEPTH} levels")
    for node in (tree, *tree.find_all((nodes.Filter, nodes.Test, nodes.Const, nodes.Call))):
        _check_node(node)
    return tree


def _check_node(node: nodes.Node) -> None:
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        raise Unusable(f"there is no filter {node.name}", hint=_filter_hint(node.name))
    if isinstance(node, nodes.Test) and node.name not in TESTS:
        raise Unusable(f"there is no test {node.name}", hint=did_you_mean(node.name, TESTS))
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name):
        hint = (
            "look it up with discover, or hand it in as a variable"
            if node.node.name in ("lookup", "query", "q")
            else ""
        )
        raise Unusable(f"there is no function {node.node.name}", hint=hint)
    if isinstance(node, nodes.Const) and isinstance(node.value, str) and _CONTROL.search(node.value):
        raise Unusable(
            f"the text {node.value!r} in the expression holds a control character",
            hint="inside an expression a backslash begins an escape: write \\\\ for each",
        )


def _filter_hint(name: str) -> str:
    if name in ("basename", "dirname"):
        return f"use win_{name}"
    return did_you_mean(name, FILTERS) or "known are " + ", ".join(sorted(FILTERS))


def _mentions(tree: nodes.Expr) -> Iterator[Mention]:
    """Every variable the expression names, `facts.os.build` with what it wants of it."""
    todo: list[tuple[nodes.Node, tuple[str, ...], bool]] = [(tree, (), False)]
    while todo:
        node, attributes, optional = todo.pop()
        if isinstance(node, nodes.Name):
            yield Mention(node.name, attributes, optional)
        elif isinstance(node, nodes.Getattr):
            todo.append((node.node, (node.attr, *attributes), False))
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            todo.append((node.node, (node.arg.value, *attributes), False))
        else:
            may_miss = (isinstance(node, nodes.Filter) and node.name in _OPTIONAL_FILTERS) or (
                isinstance(node, nodes.Test) and node.name in _OPTIONAL_TESTS
            )
            children = list(node.iter_child_nodes())
            todo += [(child, (), may_miss and index == 0) for index, child in enumerate(children)]


def _in_words(error: BaseException) -> str:
    if isinstance(error, RecursionError | MemoryError):
        return "the expression is too large"
    if isinstance(error, UndefinedError) and (found := _UNDEFINED.fullmatch(str(error))):
        return f"the variable {found.group(1)} has no value for this host"
    return f"the expression cannot be worked out: {error}"
