"""The doctor's checks of the machine: Python, engines, memory, where each task runs, the guard, the terminal."""

from __future__ import annotations

import platform
import struct
import sys
from collections.abc import Iterator

from models.fit import needed_memory_bytes
from pipelines.checkup import Check, Subject
from pipelines.models_listing import installed_default

OLDEST_PYTHON = (3, 11)
NARROWEST_COLUMNS = 40


def checks(subject: Subject) -> Iterator[Check]:
    yield check_python()
    yield from check_engines(subject)
    yield check_instruction_sets(subject)
    yield check_memory(subject)
    yield from check_placements(subject)
    yield check_profile(subject)
    yield check_offline(subject)
    yield check_terminal(subject)


def check_python(version: tuple[int, ...] = sys.version_info[:3], bits: int = struct.calcsize("P") * 8) -> Check:
    detail = f"Python {'.'.join(map(str, version))}, {bits} bits, {platform.system()} {platform.machine()}"
    if version[:2] < OLDEST_PYTHON or bits < 64:
        return Check("python", "fail", detail, "homebody needs a 64-bit Python of at least 3.11")
    return Check("python", "ok", detail)


def check_engines(subject: Subject) -> Iterator[Check]:
    jobs = {"llama.cpp": "chat engine", "onnxruntime": "embedding engine"}
    for engine in subject.hardware.engines:
        name = jobs.get(engine.name, engine.name)
        if engine.failure:
            yield Check(name, "fail", f"{engine.name} cannot be loaded: {engine.failure}", "install again: make run")
        else:
            yield Check(name, "ok", f"{engine.name} {engine.version}: {', '.join(sorted(engine.built_with))}")
    for plugin in subject.hardware.onnx.plugins:
        name = f"{plugin.package} {plugin.version}"
        if plugin.failure:
            remedy = f"update it, or remove it: pip uninstall {plugin.package}"
            yield Check("plug-in", "warn", f"{name} cannot be used: {plugin.failure}", remedy)
        elif plugin.devices:
            yield Check("plug-in", "ok", f"{name} offers {plugin.devices} devices")
        else:
            yield Check("plug-in", "ok", f"{name} is registered and offers no device: its hardware is not here")


def check_instruction_sets(subject: Subject) -> Check:
    unused = subject.hardware.unused_instruction_sets()
    if unused:
        return Check(
            "instruction sets",
            "warn",
            f"the chat engine was built without {', '.join(unused)}, which this CPU has",
            "build it for this machine: CMAKE_ARGS=-DGGML_NATIVE=on "
            "pip install --force-reinstall --no-deps --no-binary llama-cpp-python llama-cpp-python",
        )
    return Check("instruction sets", "ok", "the chat engine uses what this CPU has")


def check_memory(subject: Subject) -> Check:
    """The chat model that would be used, against the memory that is free now."""
    memory = subject.hardware.memory
    free = f"{memory.available_bytes / 1e9:.1f} of {memory.total_bytes / 1e9:.1f} GB free"
    free += " (the limit of its control group)" if memory.limited else ""
    named = subject.settings.chat.model
    if named and named in subject.weights.catalog.ids:
        entry = subject.weights.catalog.entry(named)
    elif named:
        return Check("memory", "ok", f"{free}; {named} is not in the catalogue, so its needs are not known")
    else:
        default = installed_default(subject.weights, subject.machine, "chat")
        if default is None:
            return Check("memory", "ok", f"{free}; no chat model is installed that it would be needed for")
        entry = default
    needed = needed_memory_bytes(entry, context_tokens=subject.settings.chat.context_tokens)
    detail = f"{entry.id} needs {needed / 1e9:.1f} GB; {free}"
    if needed > memory.available_bytes:
        return Check("memory", "fail", detail, "close something, or take a smaller model: homebody models fit")
    if needed > memory.available_bytes * 0.8:
        return Check("memory", "warn", detail, "a smaller model leaves room: homebody models fit")
    return Check("memory", "ok", detail)


def check_placements(subject: Subject) -> Iterator[Check]:
    for task, placement in subject.placements.items():
        name = f"{task} placement"
        if placement.fallback is not None:
            yield Check(name, "warn", str(placement.fallback).split(". ")[0], placement.fallback.remedy)
        else:
            yield Check(name, "ok", f"{placement.device}: {placement.reason}")


def check_profile(subject: Subject) -> Check:
    profile = subject.profile
    measured = [
        *(
            f"{name} reads {each.prefill_tokens_per_s:.0f} and writes {each.decode_tokens_per_s:.0f} tokens/s"
            for name, each in profile.chat.items()
        ),
        *(f"{name} embeds {each.tokens_per_s:.0f} tokens/s" for name, each in profile.embed.items()),
    ]
    if not measured:
        return Check("profile", "ok", "not measured yet; the first question does it, in a few seconds")
    return Check("profile", "ok", "; ".join(measured))


def check_offline(subject: Subject) -> Check:
    if subject.offline:
        return Check("offline", "ok", "the guard is on: nothing in this process reaches beyond this machine")
    return Check("offline", "fail", "the offline guard is not on", "this is a bug: please report it")


def check_terminal(subject: Subject) -> Check:
    terminal = subject.terminal
    detail = f"{terminal.name or 'no TERM'}, {terminal.columns} columns, {terminal.encoding}"
    if not terminal.interactive:
        return Check("terminal", "ok", "none here: commands work, the full-screen interface needs one")
    if terminal.name in ("", "dumb"):
        return Check("terminal", "warn", detail, "this terminal cannot draw; commands such as `homebody ask` work")
    if terminal.encoding.lower().replace("-", "") != "utf8":
        return Check("terminal", "warn", detail, "choose a UTF-8 locale, for example: export LANG=C.UTF-8")
    if terminal.columns < NARROWEST_COLUMNS:
        return Check("terminal", "warn", detail, f"make it at least {NARROWEST_COLUMNS} columns wide")
    return Check("terminal", "ok", detail)
