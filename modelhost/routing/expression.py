"""Rules as text: `text_length < 20 and user_role == "admin"`. Checked as a whole when it is read, never run as Python.

A rule may hold names of declared features, numbers, texts, true/false, lists of literals for `in`, comparisons,
`and or not` and `+ - * / // %` between numbers. Everything else (calls, attributes, subscripts, powers, shifts,
conditional expressions …) is refused by a list of what is allowed, not by one of what is forbidden; simpleeval then
evaluates what is left. Kinds are checked too: a text is never compared with a number.
"""

from __future__ import annotations

import ast
import difflib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simpleeval import DEFAULT_OPERATORS, InvalidExpression, SimpleEval  # type: ignore[import-untyped]

from modelhost.errors import ConfigError
from modelhost.routing.features import Kind, Value

LONGEST = 1000  # characters of a rule
_LONGEST_TEXT = 200
_LARGEST = 2**53
_MOST_NODES = 200
_DEEPEST = 30

_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_EQUAL = (ast.Eq, ast.NotEq)
_MEMBER = (ast.In, ast.NotIn)
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)
_SIGNS = (ast.UAdd, ast.USub)
_OPERATORS = {kind: DEFAULT_OPERATORS[kind] for kind in (*_ORDER, *_EQUAL, *_MEMBER, *_ARITHMETIC, *_SIGNS, ast.Not)}
_LITERALS = {"true": True, "false": False, "True": True, "False": False}


class _Facts(threading.local):
    """Where simpleeval looks names up: the values of the request that this thread evaluates a rule for."""

    values: Mapping[str, Value] = {}

    def __getitem__(self, name: str) -> Value:
        return self.values[name]


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked rule; `names` are the features that it speaks of. Safe to share between threads."""

    text: str
    names: frozenset[str]
    _tree: ast.expr
    _facts: _Facts
    _evaluator: SimpleEval

    def matches(self, values: Mapping[str, Value]) -> bool:
        """True where the rule holds. A rule that names a feature without a value never matches, whatever its form.

        So `language != "zh"` says nothing of a request whose language nobody knows. A division by zero is no match.
        """
        if not self.names <= values.keys():
            return False
        self._facts.values = values
        try:
            return self._evaluator.eval(self.text, self._tree) is True
        except (InvalidExpression, ArithmeticError, TypeError, ValueError):
            return False
        finally:
            self._facts.values = {}


def compiled(text: str, features: Mapping[str, Kind]) -> Expression:
    """Read and check a rule. Raises ConfigError that names what is wrong, the column (from 1) and what is valid."""
    checker = _Checker(text, features)
    if len(text) > LONGEST:
        raise ConfigError(f"a rule of {len(text)} characters is too long", f"write at most {LONGEST}, or several rules")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ConfigError(
            f"{_cut(text)} is no expression: {error.msg} (column {error.offset or 1})",
            'write it like text_length < 20 and user_role == "admin"',
        ) from None
    except (ValueError, RecursionError, MemoryError):
        raise ConfigError(f"{_cut(text)} is no expression", "nest less deeply, and use no control characters") from None
    tree, kind = checker.check(tree, 0)
    if kind is not Kind.FLAG:
        raise checker.refused(tree, f"a rule is true or false, and this is a {kind}", "compare it with something")
    facts = _Facts()
    evaluator = SimpleEval(operators=dict(_OPERATORS), functions={}, names=facts)
    return Expression(text, frozenset(checker.names), tree, facts, evaluator)


class _Checker:
    """Walks a tree by what is allowed, gives each node its kind, and folds lists of literals into one constant."""

    def __init__(self, text: str, features: Mapping[str, Kind]) -> None:
        self.text = text.strip()
        self.features = features
        self.names: set[str] = set()
        self.nodes = 0

    def check(self, node: ast.expr, depth: int) -> tuple[ast.expr, Kind]:
        self.nodes += 1
        if depth > _DEEPEST or self.nodes > _MOST_NODES:
            raise self.refused(node, "the rule is nested too deeply or too long", "write several rules")
        match node:
            case ast.Name():
                return self._name(node)
            case ast.Constant():
                return node, self._literal(node)
            case ast.BoolOp():
                node.values = [self._flag(value, depth) for value in node.values]
                return node, Kind.FLAG
            case ast.UnaryOp(op=ast.Not()):
                node.operand = self._flag(node.operand, depth)
                return node, Kind.FLAG
            case ast.UnaryOp(op=ast.UAdd() | ast.USub()):
                node.operand = self._number(node.operand, depth)
                return node, Kind.NUMBER
            case ast.BinOp() if isinstance(node.op, _ARITHMETIC):
                node.left, node.right = self._number(node.left, depth), self._number(node.right, depth)
                return node, Kind.NUMBER
            case ast.Compare():
                self._comparison(node, depth)
                return node, Kind.FLAG
        raise self.refused(
            node,
            f"{_called(node)} has no place in a rule",
            "a rule holds features, literals, comparisons, and, or, not, in, + - * / // %",
        )

    def refused(self, node: ast.AST, problem: str, hint: str) -> ConfigError:
        """The error with the column, counted in characters from 1."""
        lines = self.text.splitlines() or [""]
        line = lines[min(getattr(node, "lineno", 1), len(lines)) - 1]
        column = len(line.encode()[: getattr(node, "col_offset", 0)].decode(errors="replace")) + 1
        return ConfigError(f"{problem} (column {column} of {_cut(self.text)})", hint)

    def _name(self, node: ast.Name) -> tuple[ast.expr, Kind]:
        if node.id in _LITERALS:  # YAML's spelling of Python's
            return ast.copy_location(ast.Constant(_LITERALS[node.id]), node), Kind.FLAG
        kind = self.features.get(node.id)
        if kind is None:
            near = difflib.get_close_matches(node.id, self.features, n=1)
            valid = ", ".join(sorted(self.features))
            guess = f"did you mean {near[0]}? " if near else ""
            raise self.refused(node, f"there is no feature {node.id[:60]!r}", f"{guess}there are: {valid}")
        self.names.add(node.id)
        return node, kind

    def _literal(self, node: ast.Constant) -> Kind:
        value = node.value
        if isinstance(value, bool):
            return Kind.FLAG
        if isinstance(value, str):
            if len(value) > _LONGEST_TEXT:
                raise self.refused(
                    node, "this text is too long", f"a text in a rule has at most {_LONGEST_TEXT} characters"
                )
            return Kind.TEXT
        if isinstance(value, int | float):
            if not abs(value) <= _LARGEST:
                raise self.refused(node, "this number is too large", f"a number in a rule is at most {_LARGEST}")
            return Kind.NUMBER
        raise self.refused(node, f"{value!r} has no place in a rule", "a literal is a number, a text, true or false")

    def _flag(self, node: ast.expr, depth: int) -> ast.expr:
        checked, kind = self.check(node, depth + 1)
        if kind is not Kind.FLAG:
            raise self.refused(
                node, f"and, or and not join what is true or false, and this is a {kind}", "compare it first"
            )
        return checked

    def _number(self, node: ast.expr, depth: int) -> ast.expr:
        checked, kind = self.check(node, depth + 1)
        if kind is not Kind.NUMBER:
            raise self.refused(node, f"one calculates with numbers, and this is a {kind}", "compare it instead")
        return checked

    def _comparison(self, node: ast.Compare, depth: int) -> None:
        node.left, left = self.check(node.left, depth + 1)
        for index, (operator, right) in enumerate(zip(node.ops, node.comparators, strict=True)):
            if isinstance(right, ast.List | ast.Tuple | ast.Set):
                if not isinstance(operator, _MEMBER) or len(node.ops) > 1:
                    raise self.refused(
                        right, "a list stands only behind `in`", 'write it like language in ["zh", "en"]'
                    )
                node.comparators[index] = self._members(right, left)
                continue
            node.comparators[index], kind = self.check(right, depth + 1)
            self._comparable(node, operator, left, kind)
            left = kind

    def _comparable(self, node: ast.Compare, operator: ast.cmpop, left: Kind, right: Kind) -> None:
        if not isinstance(operator, (*_ORDER, *_EQUAL, *_MEMBER)):
            raise self.refused(node, "`is` compares identities", "write == or !=")
        if left is not right:
            raise self.refused(node, f"this compares a {left} with a {right}", "both sides must be of one kind")
        if isinstance(operator, _MEMBER) and left is not Kind.TEXT:
            raise self.refused(
                node, f"a {left} is not in a {right}", "`in` looks for a text in a text, or anything in a list"
            )
        if isinstance(operator, _ORDER) and left is Kind.FLAG:
            raise self.refused(node, "true and false have no order", "compare them with ==")

    def _members(self, node: ast.List | ast.Tuple | ast.Set, kind: Kind) -> ast.Constant:
        values = []
        for item in node.elts:
            checked, found = self.check(item, 0)
            if not isinstance(checked, ast.Constant) or found is not kind:
                raise self.refused(item, f"the list must hold literals of one kind, {kind}", 'such as ["zh", "en"]')
            values.append(checked.value)
        folded: Any = tuple(values)
        return ast.copy_location(ast.Constant(folded), node)


def _called(node: ast.expr) -> str:
    names = {ast.Call: "a call", ast.Attribute: "an attribute", ast.Subscript: "a subscript", ast.Lambda: "a lambda"}
    if isinstance(node, ast.BinOp):
        return {ast.Pow: "a power", ast.LShift: "a shift", ast.RShift: "a shift"}.get(type(node.op), "this operator")
    return names.get(type(node), type(node).__name__)


def _cut(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:79]}…")
