"""The ground rules as tests: layers, what an import may load, errors that carry a hint."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import models.errors
import pipelines.errors
import rag.errors
from pipelines.errors import EXPECTED_ERRORS, MISSING_ERRORS
from tests.conftest import PROJECT_ROOT

PACKAGES = ("app", "pipelines", "rag", "models")
ENGINES = (
    "chromadb",
    "llama_cpp",
    "onnxruntime",
    "tokenizers",
    "pypdfium2",
    "semantic_text_splitter",
    "huggingface_hub",
    "faster_whisper",
    "ctranslate2",
    "av",
    "PIL",
    "cv2",
    "rapidocr",
    "watchfiles",
    "open_clip",
    "torch",
    "psutil",
    "archspec",
)
"""Loaded by the function that needs them, never by an import."""

TOOLKITS = ("textual", "rich")

ERROR_TREES = (models.errors, rag.errors, pipelines.errors)


def every_module() -> list[str]:
    return sorted(
        ".".join(file.relative_to(PROJECT_ROOT).with_suffix("").parts)
        for package in PACKAGES
        for file in (PROJECT_ROOT / package).rglob("*.py")
        if file.name not in ("__init__.py", "__main__.py")
    )


def test_the_layers_hold() -> None:
    """The contracts of pyproject.toml, in a process of their own: the linter keeps state."""
    finished = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())",
        ],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_importing_anything_loads_no_engine(run_python: Callable[[str], str]) -> None:
    """All modules in one fresh interpreter; the first that loads an engine is named."""
    printed = run_python(
        f"import importlib, sys\n"
        f"loaded = {{}}\n"
        f"for name in {every_module()!r}:\n"
        f"    importlib.import_module(name)\n"
        f"    for engine in {ENGINES!r}:\n"
        f"        if engine in sys.modules: loaded.setdefault(engine, name)\n"
        f"print(loaded)"
    )
    assert printed == "{}"


@pytest.mark.parametrize("module", ["app.__main__", "app.cli", "pipelines.factory", "pipelines.offline_guard"])
def test_the_command_line_loads_neither_textual_nor_rich(module: str, run_python: Callable[[str], str]) -> None:
    printed = run_python(
        f"import sys, {module}\nprint([name for name in {(*ENGINES, *TOOLKITS)!r} if name in sys.modules])"
    )
    assert printed == "[]"


def test_help_loads_neither_textual_nor_rich_nor_pydantic(run_python: Callable[[str], str]) -> None:
    printed = run_python(
        "import sys, contextlib, io\n"
        "from app.__main__ import main\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out: status = main(['--help'])\n"
        "assert status == 0 and 'Usage: homebody' in out.getvalue()\n"
        f"print([name for name in {(*ENGINES, *TOOLKITS, 'pydantic', 'numpy')!r} if name in sys.modules])"
    )
    assert printed == "[]"


def test_the_first_frame_loads_no_library_and_no_settings(run_python: Callable[[str], str]) -> None:
    printed = run_python(
        f"import sys, app.homebody_app\n"
        f"print([name for name in {(*ENGINES, 'pydantic', 'numpy', 'typer', 'sqlite3')!r} if name in sys.modules])"
    )
    assert printed == "[]"


def errors_of(module: ModuleType) -> list[Any]:
    return [
        each
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, Exception) and each.__module__ == module.__name__
    ]


@pytest.mark.parametrize("module", ERROR_TREES, ids=lambda module: module.__name__)
def test_every_error_takes_a_hint_and_is_drawn_in_its_tree(module: ModuleType) -> None:
    assert errors_of(module)
    for error in errors_of(module):
        made = error("what happened", hint="what to do")
        assert str(made) == "what happened"
        assert made.hint == "what to do"
        assert error("what happened").hint == ""
        assert error.__name__ in (module.__doc__ or ""), f"{error.__name__} is not drawn in {module.__name__}"
        assert error.__doc__, f"{error.__name__} does not say when it is raised"


@pytest.mark.parametrize("module", ERROR_TREES, ids=lambda module: module.__name__)
def test_what_is_drawn_exists_under_its_parent(module: ModuleType) -> None:
    """Two steps of indentation a level, as the trees are drawn."""
    known = {each.__name__: each for each in errors_of(module)}
    parents: list[type[Exception]] = []
    drawn = 0
    for line in (module.__doc__ or "").splitlines():
        name = line.lstrip(" │├└─").split(" ")[0]
        if not line.startswith("    ") or not name.isidentifier() or not name[0].isupper():
            continue
        assert name in known, f"{name} is drawn, but there is no such error"
        depth = (len(line) - len(line.lstrip(" │├└─")) - 4) // 4
        del parents[depth:]
        if parents:
            assert issubclass(known[name], parents[-1]), f"{name} is not a {parents[-1].__name__}"
        parents.append(known[name])
        drawn += 1
    assert drawn == len(known)


def test_expected_errors_cover_every_tree() -> None:
    for module in ERROR_TREES:
        for error in errors_of(module):
            assert issubclass(error, EXPECTED_ERRORS)
    for error in MISSING_ERRORS:
        assert issubclass(error, EXPECTED_ERRORS)


def test_no_error_grows_outside_its_tree(run_python: Callable[[str], str]) -> None:
    """Signals inside a layer may be exceptions of their own; what a user may be shown is in `errors.py`."""
    printed = run_python(
        f"import importlib\n"
        f"for name in {every_module()!r}: importlib.import_module(name)\n"
        f"def below(error):\n"
        f"    for each in error.__subclasses__(): yield each; yield from below(each)\n"
        f"from pipelines.errors import EXPECTED_ERRORS\n"
        f"found = {{each for error in EXPECTED_ERRORS for each in below(error)}}\n"
        f"print(sorted(str(each) for each in found if not each.__module__.endswith('.errors')))"
    )
    assert printed == "[]"
