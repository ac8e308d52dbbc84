"""How long until the first frame of the terminal UI, beside `python -c "import textual.app"`, in the same run.

    python scripts/cold_start.py [--runs N] [--limit 1.6]

Both are started alternately. The UI runs on a pseudo-terminal of its own with an empty data folder, and its
first frame is there when the composer's placeholder has been drawn. `homebody --help` is timed too, and must
not import textual. A human table, then one JSON object on the last line; exit code 1 when over the limit.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
FIRST_FRAME_MARK = b"sk your files"  # the cursor stands on the first letter
DEADLINE_S = 30.0


def seconds_to_import_textual() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import textual.app"], check=True, cwd=PROJECT_ROOT)
    return time.perf_counter() - began


def seconds_to_help() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "app", "--help"], check=True, cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def help_imports_textual() -> bool:
    code = (
        "import sys, contextlib, io, runpy\n"
        "sys.argv = ['homebody', '--help']\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    runpy.run_module('app', run_name='__main__')\n"
        "print('textual' in sys.modules)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=PROJECT_ROOT, capture_output=True, text=True
    )
    return finished.stdout.strip().endswith("True")


def seconds_to_first_frame(home: Path) -> float:
    """From starting the process to the composer on the screen. Raises TimeoutError when it never comes."""
    import fcntl
    import pty
    import struct
    import termios

    began = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(PROJECT_ROOT)
        environment = {**os.environ, "HOMEBODY_HOME": str(home), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        os.execve(sys.executable, [sys.executable, "-m", "app"], environment)
    try:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        seen = b""
        while FIRST_FRAME_MARK not in seen:
            ready, _, _ = select.select([terminal], [], [], DEADLINE_S)
            if not ready or time.perf_counter() - began > DEADLINE_S:
                raise TimeoutError(f"no first frame within {DEADLINE_S:.0f} s; last output: {seen[-500:]!r}")
            seen = seen[-65_536:] + os.read(terminal, 65_536)
        return time.perf_counter() - began
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with contextlib.suppress(OSError):
            os.close(terminal)


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--runs", type=int, default=10)
    arguments.add_argument("--limit", type=float, default=1.6)
    options = arguments.parse_args()

    imports: list[float] = []
    frames: list[float] = []
    helps: list[float] = []
    with tempfile.TemporaryDirectory(prefix="homebody-start-") as folder:
        seconds_to_import_textual(), seconds_to_first_frame(Path(folder))  # warm the disk cache and the bytecode
        for _ in range(options.runs):
            imports.append(seconds_to_import_textual())
            frames.append(seconds_to_first_frame(Path(folder)))
            helps.append(seconds_to_help())
    # The least disturbed run of each: other programs can only make a start slower.
    ratio = min(frames) / min(imports)
    textual_in_help = help_imports_textual()

    print(f"{'':32}{'best':>9}{'median':>9}   of {options.runs} runs")
    for name, seconds in (
        ('python -c "import textual.app"', imports),
        ("homebody: first frame", frames),
        ("homebody --help", helps),
    ):
        print(f"{name:32}{min(seconds) * 1000:7.0f}ms{statistics.median(seconds) * 1000:7.0f}ms")
    print(f"first frame / import: {ratio:.2f} (at most {options.limit}); --help imports textual: {textual_in_help}")
    record = {
        "bench": "cold_start",
        "runs": options.runs,
        "import_textual_s": round(min(imports), 4),
        "first_frame_s": round(min(frames), 4),
        "help_s": round(min(helps), 4),
        "ratio": round(ratio, 3),
        "ratio_of_medians": round(statistics.median(frames) / statistics.median(imports), 3),
        "limit": options.limit,
        "help_imports_textual": textual_in_help,
    }
    print(json.dumps(record))
    return 0 if ratio <= options.limit and not textual_in_help else 1


if __name__ == "__main__":
    sys.exit(main())
