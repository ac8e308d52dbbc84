"""How what the base install leaves out is installed: from the checkout that homebody runs from.

Never by homebody's name alone: on a package index that name may be somebody else's.
"""

from __future__ import annotations


def install_hint(extra: str) -> str:
    """The command for one of `[project.optional-dependencies]` in pyproject.toml."""
    return f"in homebody's folder, run: .venv/bin/pip install --editable '.[{extra}]'"
