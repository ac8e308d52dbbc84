"""What every test may use: real weights (or a skip that says how to get them), and a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

PROJECT_ROOT = Path(__file__).resolve().parent.parent

# The same examples every time, so that a change fails for what it changed; HOMEBODY_TEST_FRESH=1 looks for new ones.
# How long an example takes says more about the machine than about the code.
settings.register_profile(
    "homebody",
    derandomize="HOMEBODY_TEST_FRESH" not in os.environ,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("homebody")


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """The folder of installed weights: `<model id>/<file>`. Skips, with the remedy, when there is none."""
    named = os.environ.get("HOMEBODY_TEST_WEIGHTS", "")
    folder = Path(named) if named else PROJECT_ROOT / ".build" / "test-home" / "models"
    if not folder.is_dir():
        pytest.skip("no weights here; `make test` fetches the small ones (about 200 MB)")
    return folder


@pytest.fixture(scope="session")
def run_python() -> Callable[[str], str]:
    """Run a statement in a fresh interpreter, from the project's root; returns what it printed."""

    def run(code: str) -> str:
        finished = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout.strip()

    return run
