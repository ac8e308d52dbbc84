"""Run a model file's chat template without trusting it: no attribute access, bounded time, bounded memory.

A template is a program in a file from somewhere. jinja2's immutable sandbox keeps it from Python's objects;
what remains is a template that never ends or fills the memory. Here every line of Python that it runs is
counted, and every operation that makes a value bigger is checked before it is done. Deterministic: no clock,
no thread. Knows nothing of messages.
"""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from types import FrameType
from typing import Any

MAX_SOURCE_CHARS = 200_000
MAX_VALUE_CHARS = 100_000
"""Of one string, or items of one list, inside the template. Message texts never come in: see `chat_template`."""
MAX_OUTPUT_CHARS = 1_000_000
MAX_LINES = 200_000
"""Lines of Python, jinja2's own included. Real templates run some hundreds a message."""

_STRING_METHODS = frozenset(
    {
        "startswith", "endswith", "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "upper", "lower",
        "title", "capitalize", "find", "rfind", "index", "count", "isdigit", "isalpha", "isspace", "isupper",
        "islower", "removeprefix", "removesuffix", "partition", "rpartition",
    }
)  # fmt: skip
"""String methods that cannot return more than they were given. `replace` and `join` are checked, the rest refused."""

_FILTERS = frozenset(
    {
        "abs", "attr", "count", "d", "default", "dictsort", "first", "float", "int", "items", "last", "length", "list",
        "map", "max", "min", "reject", "rejectattr", "reverse", "round", "select", "selectattr", "sort", "unique",
    }
)  # fmt: skip
"""jinja2's own filters that return no more than they were given. Those that make text are ours, below."""


class TemplateRefused(Exception):
    """The template is not valid, refuses the messages (`raise_exception`), or exceeds a limit."""


class TemplateTooCostly(TemplateRefused):
    """It would take too long or too much memory: no honest template does."""


def _check_size(size: int) -> None:
    if size > MAX_VALUE_CHARS:
        raise TemplateTooCostly(f"a value of {size:,} characters or items")


def _size(value: object) -> int:
    return len(value) if isinstance(value, str | list | tuple | dict) else 0


def _multiply(left: Any, right: Any) -> Any:
    if isinstance(left, int | float) and isinstance(right, int | float):
        result = left * right
        if isinstance(result, int) and result.bit_length() > 64:
            raise TemplateTooCostly("a number beyond 64 bits")
        return result
    times, repeated = (left, right) if isinstance(left, int) else (right, left)
    _check_size(_size(repeated) * (times if isinstance(times, int) else 1))
    return left * right


def _add(left: Any, right: Any) -> Any:
    _check_size(_size(left) + _size(right))
    return left + right


def _power(left: Any, right: Any) -> Any:
    if not (isinstance(left, int | float) and isinstance(right, int | float) and abs(left) <= 1e6 and 0 <= right <= 8):
        raise TemplateTooCostly("a large power")
    return left**right


def _modulo(left: Any, right: Any) -> Any:
    if isinstance(left, str):  # '%999999999d' % 1
        raise TemplateTooCostly("printf formatting")
    return left % right


def _text(value: object) -> str:
    """`str(value)`, after making sure that it is not huge: a small nested list can have an endless repr."""
    if isinstance(value, str):
        return value
    total = 0
    waiting: list[object] = [value]
    while waiting:
        each = waiting.pop()
        total += len(each) if isinstance(each, str) else 8
        _check_size(total)
        if isinstance(each, dict):
            waiting.extend(each)
            waiting.extend(each.values())
        elif isinstance(each, list | tuple | set | frozenset):
            waiting.extend(each)
    return str(value)


def _trim(value: object, chars: str | None = None) -> str:
    return _text(value).strip(chars)


def _concatenate(*values: object) -> str:
    parts = [_text(value) for value in values]
    _check_size(sum(map(len, parts)))
    return "".join(parts)


def _replace(text: object, old: object, new: object, count: int | None = None) -> str:
    source, old_text, new_text = _text(text), _text(old), _text(new)
    limit = -1 if count is None else count
    found = source.count(old_text) if limit < 0 else min(source.count(old_text), limit)
    _check_size(len(source) + found * len(new_text))
    return source.replace(old_text, new_text, limit)


def _join(values: Any, separator: object = "", attribute: str | None = None) -> str:
    parts = [_text(value if attribute is None else value[attribute]) for value in values]
    between = _text(separator)
    _check_size(sum(map(len, parts)) + len(between) * len(parts))
    return between.join(parts)


def _indent(text: object, width: int = 4, first: bool = False, blank: bool = False) -> str:
    lines = _text(text).splitlines()
    if not 0 <= int(width) <= 64:
        raise TemplateTooCostly("a wide indent")
    _check_size(sum(map(len, lines)) + len(lines) * int(width))
    pad = " " * int(width)
    return "\n".join(pad + line if (first or n) and (blank or line) else line for n, line in enumerate(lines))


def _to_json(value: object, ensure_ascii: bool = False, indent: int | None = None, **_ignored: object) -> str:
    _text(value)  # for its check of the size
    text = json.dumps(value, ensure_ascii=ensure_ascii, indent=min(indent, 8) if indent is not None else None)
    _check_size(len(text))
    return text


def _raise_exception(message: object = "") -> None:
    raise TemplateRefused(str(message)[:300])


def _strftime_now(format_text: str) -> str:
    if len(format_text) > 100 or re.search(r"%(?!-?[A-Za-z%])", format_text):  # %999999999d pads
        raise TemplateTooCostly("an unusual date format")
    return datetime.now().astimezone().strftime(format_text)


class BoundedTemplate:
    """A compiled chat template."""

    def __init__(self, source: str) -> None:
        """Raises TemplateRefused where the source is not valid, too long or too deeply nested."""
        if len(source) > MAX_SOURCE_CHARS:
            raise TemplateTooCostly(f"a template of {len(source):,} characters")
        from jinja2 import TemplateError

        environment = _environment()
        try:
            # RecursionError and MemoryError are what Python's own compiler raises for absurd nesting.
            syntax_tree = _without_concatenation(environment.parse(source))
            code = environment.compile(syntax_tree)
            self._template = environment.template_class.from_code(environment, code, dict(environment.globals))
        except (TemplateError, SyntaxError, RecursionError, MemoryError, ValueError) as error:
            raise TemplateRefused(f"not a valid template: {error}") from error

    def render(self, variables: Mapping[str, object]) -> str:
        """Raises TemplateRefused: by the template's own words, or for what it tried to do."""
        from jinja2 import TemplateError

        pieces: list[str] = []
        total_chars = 0
        try:
            with _line_budget(MAX_LINES):
                for piece in self._template.generate(**variables):
                    total_chars += len(piece)
                    if total_chars > MAX_OUTPUT_CHARS:
                        raise TemplateTooCostly("endless output")
                    pieces.append(piece)
        except TemplateRefused:
            raise
        except RecursionError as error:
            raise TemplateTooCostly("endless recursion") from error
        except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise TemplateRefused(f"{type(error).__name__}: {error}"[:300]) from error
        return "".join(pieces)


class _line_budget:
    """Count the lines of Python that run in this thread; raise TemplateTooCostly beyond the budget."""

    def __init__(self, lines: int) -> None:
        self._left = lines
        self._before: Any = None

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        sys.settrace(self._trace)

    def __exit__(self, *_exception: object) -> None:
        sys.settrace(self._before)

    def _trace(self, _frame: FrameType, _event: str, _argument: object) -> Callable[..., Any]:
        self._left -= 1
        if self._left < 0:
            raise TemplateTooCostly(f"more than {MAX_LINES:,} steps")
        return self._trace


def _environment() -> Any:
    from jinja2.exceptions import SecurityError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset({"+", "*", "**", "%"})
        _operations: Mapping[str, Callable[[Any, Any], Any]] = {
            "+": _add,
            "*": _multiply,
            "**": _power,
            "%": _modulo,
        }

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            operation = self._operations.get(operator)
            return operation(left, right) if operation else super().call_binop(context, operator, left, right)

        def wrap_str_format(self, value: Any) -> None:
            """No safe way to format is offered, so that `call` sees str.format itself and refuses it."""

        def call(self, context: Any, called: Any, /, *args: Any, **kwargs: Any) -> Any:
            owner = getattr(called, "__self__", None)
            if isinstance(owner, str):
                name = getattr(called, "__name__", "")
                if name == "replace":
                    return _replace(owner, *args, **kwargs)
                if name == "join":
                    return _join(args[0], owner)
                if name not in _STRING_METHODS:
                    raise SecurityError(f"str.{name} is not available in chat templates")
            return super().call(context, called, *args, **kwargs)

    class GenerationTag(Extension):
        """Hugging Face's {% generation %} marks what to train on; it changes nothing in the text."""

        tags = {"generation"}  # noqa: RUF012  # as jinja2 declares it

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    environment = Environment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, GenerationTag], finalize=_text
    )
    environment.filters = {name: each for name, each in environment.filters.items() if name in _FILTERS} | {
        "tojson": _to_json,
        "string": _text,
        "safe": _text,
        "trim": _trim,
        "upper": lambda value: _text(value).upper(),
        "lower": lambda value: _text(value).lower(),
        "title": lambda value: _text(value).title(),
        "capitalize": lambda value: _text(value).capitalize(),
        "e": lambda value: html.escape(_text(value)),
        "escape": lambda value: html.escape(_text(value)),
        "replace": _replace,
        "join": _join,
        "indent": _indent,
    }
    environment.globals = {
        "range": environment.globals["range"],  # the sandbox's, at most 100,000 long
        "namespace": environment.globals["namespace"],
        "dict": dict,
        "raise_exception": _raise_exception,
        "strftime_now": _strftime_now,
        "_concatenate": _concatenate,
    }
    return environment


def _without_concatenation(syntax_tree: Any) -> Any:
    """Replace the operator `~`, which the sandbox cannot intercept, by a call of ours."""
    from jinja2 import nodes
    from jinja2.visitor import NodeTransformer

    class Replace(NodeTransformer):
        def visit_Concat(self, node: Any) -> Any:
            self.generic_visit(node)
            return nodes.Call(nodes.Name("_concatenate", "load"), node.nodes, [], None, None, lineno=node.lineno)

    replaced = Replace().visit(syntax_tree)
    replaced.set_environment(syntax_tree.environment)
    return replaced
