"""Make `.venv` from the lock file: what `make` runs first. Standard library only: nothing else is there yet.

Every step can be interrupted and run again; it goes on where it was. The one long step is compiling
llama.cpp for this machine's CPU (7 to 15 minutes on two cores): it happens in `.build/`, object by object, and
the finished wheel is kept in the user's cache folder, so that the next checkout installs it in seconds.

    python3 scripts/install.py [--dev]

`CMAKE_ARGS` reaches the compiler, e.g. CMAKE_ARGS="-DGGML_VULKAN=on" for a GPU.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
VENV = PROJECT_ROOT / ".venv"
BUILD = PROJECT_ROOT / ".build"
RUNTIME_LOCK = PROJECT_ROOT / "requirements.lock"
DEV_LOCK = PROJECT_ROOT / "requirements-dev.lock"
BUILD_LOCK = PROJECT_ROOT / "requirements-build.lock"
COMPILED_PACKAGE = "llama-cpp-python"
OLDEST_PYTHON = (3, 11)

# "[12/345] Building CXX object ..." is how ninja counts; make says "[ 12%]".
NINJA_STEP = re.compile(r"\[(\d+)/(\d+)\]")
MAKE_PERCENT = re.compile(r"\[\s*(\d+)%\]")


class StepFailed(Exception):
    """A step of the installation failed; the message says what the user can do."""


def say(text: str) -> None:
    print(f"homebody: {text}", flush=True)


def lock_entry(lock: Path, package: str) -> tuple[str, str]:
    """The version of a package in a lock file, and its whole entry with hashes, as a requirements file wants it."""
    entry: list[str] = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{package}==") or (entry and line.startswith("    --hash")):
            entry.append(line)
        elif entry:
            break
    if not entry:
        raise StepFailed(f"{lock.name} has no entry for {package}")
    return entry[0].split("==")[1].split()[0], "\n".join(entry) + "\n"


def run(command: list[str | Path], *, what: str, hint: str) -> None:
    """Run a command that shows its own progress. Raises StepFailed."""
    if subprocess.run([str(part) for part in command], cwd=PROJECT_ROOT, check=False).returncode:
        raise StepFailed(f"{what} failed (its last lines are above). {hint}")


def venv_python(venv: Path) -> Path:
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def make_venv(venv: Path) -> None:
    if venv_python(venv).exists():
        return
    say(f"making a virtual environment in {venv.relative_to(PROJECT_ROOT)}")
    run(
        [sys.executable, "-m", "venv", "--clear", venv],
        what="making the virtual environment",
        hint="On Debian and Ubuntu: sudo apt-get install python3-venv",
    )


def pip_install(venv: Path, *arguments: str | Path) -> None:
    run(
        [venv_python(venv), "-m", "pip", "install", "--quiet", "--progress-bar=on", *arguments],
        what="installing packages",
        hint="Check the connection to your package index, then run the same command again: it goes on from here.",
    )


def stamp_text(*, dev: bool) -> str:
    """Changes whenever what is installed should."""
    digest = hashlib.sha256()
    for file in (RUNTIME_LOCK, DEV_LOCK, PROJECT_ROOT / "pyproject.toml"):
        digest.update(file.read_bytes())
    digest.update(os.environ.get("CMAKE_ARGS", "").encode())
    return f"{'dev' if dev else 'run'} {digest.hexdigest()} {PROJECT_ROOT}\n"


# ----------------------------------------------------------------------------------- compiling llama.cpp


def cpu_fingerprint() -> str:
    """Names what a compiler with -march=native may use: a wheel made on one CPU can crash on another."""
    flags = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("flags", "Features")):
                flags = " ".join(sorted(line.split(":", 1)[1].split()))
                break
    described = "|".join(
        (platform.system(), platform.machine(), platform.processor(), flags, os.environ.get("CMAKE_ARGS", ""))
    )
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def wheel_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "homebody" / "wheels" / cpu_fingerprint()


def steps_done(lines: Iterator[str]) -> Iterator[tuple[int, int]]:
    """Pick (done, total) out of a build's output."""
    for line in lines:
        if found := NINJA_STEP.search(line):
            yield int(found[1]), int(found[2])
        elif found := MAKE_PERCENT.search(line):
            yield int(found[1]), 100


def show_progress(steps: Iterator[tuple[int, int]], *, interactive: bool) -> None:
    """One line that says how far, how fast and how long yet; without a terminal, one every half minute."""
    started_s = time.monotonic()
    first_done: int | None = None
    next_line_s = 0.0
    shown = False
    for done, total in steps:
        now_s = time.monotonic() - started_s
        if first_done is None:
            first_done = done - 1  # a resumed build starts in the middle: only this run's steps make the rate
        rate = (done - first_done) / max(now_s, 1.0)
        left_s = (total - done) / max(rate, 1e-3)
        text = f"compiling llama.cpp: {done}/{total} steps, {rate * 60:.0f} a minute, about {left_s / 60:.0f} min left"
        if interactive:
            print(f"\r\x1b[Khomebody: {text}", end="", flush=True)
            shown = True
        elif now_s >= next_line_s:
            say(text)
            next_line_s = now_s + 30
    if shown:
        print(flush=True)


def unpack_sdist(sdist: Path, into: Path) -> Path:
    """The sources at a path that stays: a build system finds its objects again only if it does."""
    source = into / sdist.name.removesuffix(".tar.gz")
    complete = into / f"{source.name}.complete"
    if complete.exists():
        return source
    shutil.rmtree(source, ignore_errors=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(into, filter="data")
    complete.touch()
    return source


def compile_wheel(version: str, entry: str) -> Path:
    """Compile the chat engine for this CPU, or take the wheel from an earlier time. Returns the wheel."""
    cached = sorted(wheel_cache().glob(f"llama_cpp_python-{version}-*.whl"))
    if cached:
        say(f"llama.cpp was compiled for this CPU before: {cached[0]}")
        return cached[0]
    if shutil.which("c++") is None and shutil.which("g++") is None and shutil.which("clang++") is None:
        raise StepFailed(
            "no C++ compiler found. On Debian and Ubuntu: sudo apt-get install build-essential; "
            "on Fedora: sudo dnf install gcc-c++; on macOS: xcode-select --install"
        )
    say("compiling the chat engine (llama.cpp) for this machine's CPU; this happens once")
    folder = BUILD / "llama"
    folder.mkdir(parents=True, exist_ok=True)
    tools = folder / "venv"
    make_venv(tools)
    pip_install(tools, "--require-hashes", "-r", BUILD_LOCK)
    environment = dict(os.environ)
    environment["PATH"] = f"{venv_python(tools).parent}{os.pathsep}{environment.get('PATH', '')}"
    sdist = folder / f"llama_cpp_python-{version}.tar.gz"
    if not sdist.exists():
        say("fetching its sources (77 MB)")
        requirement = folder / "requirement.txt"
        requirement.write_text(entry, encoding="utf-8")
        incoming = folder / "incoming"
        incoming.mkdir(exist_ok=True)
        # Reading the metadata of an sdist runs its build backend, which the tools' environment already has.
        fetched = subprocess.run(
            [
                *(str(venv_python(tools)), "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"),
                *("--no-binary", COMPILED_PACKAGE, "--require-hashes", "-r", str(requirement), "-d", str(incoming)),
            ],
            env=environment,
            check=False,
        )
        if fetched.returncode:
            raise StepFailed("fetching the sources of llama-cpp-python failed; check the connection and run it again")
        (incoming / sdist.name).replace(sdist)
    source = unpack_sdist(sdist, folder)
    wheels = folder / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    log_file = folder / "build.log"
    with log_file.open("w", encoding="utf-8") as log:
        build = subprocess.Popen(
            [
                *(str(venv_python(tools)), "-m", "pip", "wheel", "-v", "--no-deps", "--no-build-isolation"),
                *("-C", f"build-dir={folder / 'cmake'}", "--wheel-dir", str(wheels), str(source)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
        )
        assert build.stdout is not None

        def logged_lines(output: Iterator[str]) -> Iterator[str]:
            for line in output:
                log.write(line)
                yield line

        try:
            show_progress(steps_done(logged_lines(build.stdout)), interactive=sys.stdout.isatty())
        finally:
            build.wait()
    if build.returncode:
        lines = log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-25:]
        raise StepFailed("compiling llama.cpp failed:\n  " + "\n  ".join(lines) + f"\nThe whole log: {log_file}")
    built = next(wheels.glob("*.whl"))
    kept = wheel_cache() / built.name
    kept.parent.mkdir(parents=True, exist_ok=True)
    temporary = kept.with_suffix(f".{os.getpid()}.part")
    shutil.copyfile(built, temporary)
    temporary.replace(kept)
    return kept


def install(*, dev: bool) -> None:
    """Bring `.venv` in line with the lock. Raises StepFailed."""
    lock = DEV_LOCK if dev else RUNTIME_LOCK
    stamp = VENV / ".homebody-installed"
    installed = stamp.read_text(encoding="utf-8") if stamp.exists() else ""
    # A development install serves to run as well.
    if installed in {stamp_text(dev=dev), stamp_text(dev=True)}:
        return
    stamp.unlink(missing_ok=True)
    make_venv(VENV)
    _, pip_entry = lock_entry(lock, "pip")
    bootstrap = BUILD / "pip.txt"
    bootstrap.parent.mkdir(parents=True, exist_ok=True)
    bootstrap.write_text(pip_entry, encoding="utf-8")
    pip_install(VENV, "--require-hashes", "-r", bootstrap)
    version, entry = lock_entry(lock, COMPILED_PACKAGE)
    wheel = compile_wheel(version, entry)
    pip_install(VENV, "--no-deps", "--force-reinstall", wheel)
    say("installing the other packages (about 400 MB on disk)")
    # Hashes are checked for everything that comes from an index; what was just compiled is already there.
    pip_install(VENV, "--require-hashes", "-r", lock)
    # setuptools warns that an editable install sees the whole checkout: that is what a checkout is for.
    os.environ["PYTHONWARNINGS"] = "ignore"
    pip_install(VENV, "--no-deps", "--no-build-isolation", "--editable", PROJECT_ROOT)
    stamp.write_text(stamp_text(dev=dev), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="Make .venv from the lock file.")
    parser.add_argument("--dev", action="store_true", help="with what the tests and linters need")
    options = parser.parse_args()
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        print(
            f"homebody: this is Python {found}; 3.11 or newer is needed. Name one: make run PYTHON=python3.12",
            file=sys.stderr,
        )
        return 3
    try:
        install(dev=options.dev)
    except StepFailed as failed:
        print(f"homebody: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nhomebody: stopped. Run the same command again: it goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
