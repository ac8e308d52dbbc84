"""Read `settings.toml`, and write one setting into it without losing the user's comments.

Reading never writes. What the file may hold is `pipelines.settings`' business; this module turns what is wrong
with it into one message that names the file, the key and what is allowed there.

`HOMEBODY_DEVICE` and `HOMEBODY_CHAT_MODEL` win over the file (see ENVIRONMENT).
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from pipelines.errors import SettingsInvalid
from pipelines.settings import Settings

ENVIRONMENT: Final = {
    "HOMEBODY_DEVICE": ("device", "device"),
    "HOMEBODY_CHAT_MODEL": ("chat", "model"),
}
"""Variables that override one setting each: section and key."""

MAX_FILE_BYTES: Final = 1_000_000
"""A settings file is a page; more than this is some other file, and is not read."""


def load(file: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this file under the environment's overrides; a missing file gives the defaults.

    Raises SettingsInvalid.
    """
    values = _parse(_read(file), file)
    settings = _validate(values, str(file))
    for variable, (section, key) in ENVIRONMENT.items():
        if value := environ.get(variable):
            table = dict(values.get(section, {}))
            table[key] = value
            values = {**values, section: table}
            settings = _validate(values, f"the environment variable {variable}")
    return settings


def set_value(file: Path, section: str, key: str, value: str | int | float | bool) -> Settings:
    """Write one setting, keep everything else in the file as it is, and return what the file now says.

    The file is replaced in one step: it is the old one or the new one, never half of it. Raises SettingsInvalid
    when the result would not be valid, and OSError when it cannot be written; the file is then unchanged.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    text = _read(file)
    _parse(text, file)  # its errors are worded for people
    try:
        document = tomlkit.parse(text)
        table = document.setdefault(section, tomlkit.table())
        if not isinstance(table, dict):
            raise SettingsInvalid(f"{file}: {section} is a section, not a value", hint=f"write it as [{section}]")
        table[key] = value
        new_text = tomlkit.dumps(document)
    except TOMLKitError as error:
        raise SettingsInvalid(f"{file} is not valid TOML: {error}", hint="correct it, or move it away") from error
    settings = _validate(_parse(new_text, file), str(file))
    _replace(file, new_text)
    return settings


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            encoded = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SettingsInvalid(
            f"{file} cannot be read ({error.strerror})", hint="make it a file that you may read, or move it away"
        ) from error
    if len(encoded) > MAX_FILE_BYTES:
        raise SettingsInvalid(f"{file} is too large to be a settings file", hint="move it away")
    try:
        return encoded.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = encoded.count(b"\n", 0, error.start) + 1
        raise SettingsInvalid(f"{file} is not UTF-8 text (line {line})", hint="save it as UTF-8") from error


def _parse(text: str, file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise SettingsInvalid(f"{file} is nested too deeply", hint="settings are sections of plain values") from error
    except ValueError as error:  # TOMLDecodeError is one; a number of thousands of digits is another
        raise SettingsInvalid(f"{file} is not valid TOML: {error}", hint="correct it, or move it away") from error


def _validate(values: Mapping[str, Any], source: str) -> Settings:
    try:
        return Settings.model_validate(dict(values), strict=True)
    except ValidationError as error:
        problems = [_in_words(each["type"], each["loc"], each["msg"], each["input"]) for each in error.errors()]
    message, hint = problems[0]
    others = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise SettingsInvalid(f"{source}: {message}{others}", hint=hint)


def _in_words(kind: str, location: tuple[int | str, ...], message: str, found: object) -> tuple[str, str]:
    """One problem for people: what is wrong, and what is allowed there."""
    path = ".".join(str(part) for part in location)
    if kind != "extra_forbidden":
        wanted = message.removeprefix("Input should be ").replace("instance of ", "section ")
        return f"{path} = {_shown(found)} is not allowed", f"it must be {wanted}"
    *section, unknown = (str(part) for part in location)
    known = _keys_of(section)
    nearest = difflib.get_close_matches(unknown, known, n=1)
    meant = f"did you mean {'.'.join([*section, nearest[0]])}? " if nearest else ""
    place = f"in [{'.'.join(section)}]" if section else "as sections"
    return f"{path} is not a setting", f"{meant}Known {place}: {', '.join(known)}"


def _keys_of(section: list[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for name in section:
        field = model.model_fields.get(name)
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        model = field.annotation
    return list(model.model_fields)


def _shown(value: object) -> str:
    if isinstance(value, int) and not -(10**20) < value < 10**20:
        return "a huge number"
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _replace(file: Path, text: str) -> None:
    import tempfile

    target = file.resolve()  # a link to a file kept elsewhere stays a link
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(  # 0600
        "w", encoding="utf-8", newline="", dir=target.parent, prefix=".settings-", delete=False
    ) as stream:
        temporary = Path(stream.name)
        try:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
            stream.close()
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


__all__ = ["ENVIRONMENT", "load", "set_value"]
