"""Write README.md's file map from the first line of each module's docstring. `tests/test_docs.py` checks it.

python scripts/write_file_map.py
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("app", "pipelines", "rag", "models", "scripts")
BEGIN, END = "<!-- file map -->\n", "<!-- end of file map -->"
NAME_COLUMNS = 30
LINE_COLUMNS = 118


def first_sentence(file: Path) -> str:
    """What a file says of itself: the docstring's first sentence, or a script's first comment."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        described = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0]
    else:
        described = next((line.removeprefix("# ") for line in text.splitlines()[1:] if line.startswith("# ")), "")
    sentence = re.split(r"(?<=\.)\s", " ".join(described.split()), maxsplit=1)[0]
    return sentence.rstrip(".:;")


def entries(folder: Path, indent: int) -> Iterator[str]:
    """Lines for one folder: its files, then the folders in it."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".py", ".sh") and path.name != "__init__.py")
    for file in files:
        name = " " * indent + file.name
        what = first_sentence(file)
        room = LINE_COLUMNS - NAME_COLUMNS - 2
        if len(what) > room:
            what = what[: room - 1].rsplit(" ", 1)[0].rstrip(",;:") + " …"
        yield f"{name:<{NAME_COLUMNS}}  {what}".rstrip()
    for inner in sorted(path for path in folder.iterdir() if (path / "__init__.py").exists()):
        yield f"{' ' * indent + inner.name + '/':<{NAME_COLUMNS}}  {first_sentence(inner / '__init__.py')}".rstrip()
        yield from entries(inner, indent + 2)


def file_map() -> str:
    lines: list[str] = []
    for name in FOLDERS:
        folder = PROJECT_ROOT / name
        package = folder / "__init__.py"
        what = first_sentence(package) if package.exists() else "What is run by hand, by make and by CI"
        lines.append(f"{name + '/':<{NAME_COLUMNS}}  {what}".rstrip())
        lines.extend(entries(folder, 2))
    return "\n".join(lines)


def main() -> None:
    readme = PROJECT_ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    readme.write_text(f"{text[:start]}```\n{file_map()}\n```\n{text[end:]}", encoding="utf-8")


if __name__ == "__main__":
    main()
