"""Every command, through the front door, with a Home of fakes: usage, help, errors, settings."""

from __future__ import annotations

import pytest

from app.terminal_text import is_forbidden
from models.errors import WeightsMissing
from rag.errors import LibraryDamaged
from tests.app.shell import HOSTILE, Shell


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["search"],
        ["search", "   "],
        ["search", "x", "--kind", "smell"],
        ["search", "x", "-k", "0"],
        ["ask"],
        ["ask", "x", "--max-tokens", "0"],
        ["ask", "x", "--bogus"],
        ["--device", "tpu", "ask", "x"],
        ["chats", "show", "twelve"],
        ["models", "pull", "--for", "cooking"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_and_says_where_the_help_is(shell: Shell, arguments: list[str]) -> None:
    assert shell(*arguments) == 2
    assert shell.out == ""
    assert shell.err.startswith("homebody: ")
    assert "--help" in shell.err
    assert shell.opened == []


@pytest.mark.parametrize("arguments", [[], ["chats"], ["models"]], ids=["homebody", "chats", "models"])
def test_a_group_without_a_command_shows_its_help(shell: Shell, arguments: list[str]) -> None:
    assert shell(*arguments) == 2
    assert "Commands:" in shell.err


def command_paths() -> list[list[str]]:
    from typer.main import get_command

    from app.cli import cli

    paths: list[list[str]] = [[]]
    for name, command in get_command(cli).commands.items():  # type: ignore[attr-defined]  # typer hides its groups
        paths.append([name])
        paths.extend([name, inner] for inner in getattr(command, "commands", {}))
    return paths


@pytest.mark.parametrize("path", command_paths(), ids=lambda path: " ".join(path) or "homebody")
def test_every_help_has_an_example_and_fits_80_columns(
    shell: Shell, path: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell(*path, "--help") == 0
    text = capsys.readouterr().out
    assert f"Usage: {' '.join(['homebody', *path])}" in text
    assert "Example" in text
    assert f"homebody {' '.join(path)}".strip() in text.partition("Example")[2]
    assert max(map(len, text.splitlines())) <= 80
    assert shell.opened == []


def test_version(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell("--version") == 0
    assert capsys.readouterr().out.startswith("homebody ")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (WeightsMissing("no chat model is installed", hint="run: homebody models pull --for chat"), 3),
        (LibraryDamaged(f"{HOSTILE}/library.sqlite is damaged", hint="move it away"), 1),
    ],
)
def test_an_expected_error_is_a_message_with_its_hint(shell: Shell, error: Exception, status: int) -> None:
    shell.home.enqueue(error)
    assert shell("ask", "x") == status
    assert shell.out == ""
    message, hint = shell.err.splitlines()
    assert message.startswith("homebody: ")
    assert not [char for char in shell.err if is_forbidden(char)]
    assert hint == f"  {error.hint}"  # type: ignore[attr-defined]  # both trees have it
    assert shell.home.closed == 1


def test_an_unexpected_error_is_one_line_that_names_the_log(shell: Shell, caplog: pytest.LogCaptureFixture) -> None:
    shell.home.enqueue(ZeroDivisionError("a bug"))
    assert shell("ask", "x") == 1
    assert shell.err.splitlines() == [
        "homebody: unexpected ZeroDivisionError: a bug",
        f"  this is a bug; the details are in {shell.paths.log_file}",
    ]
    assert "Traceback" in caplog.text


def test_broken_settings_are_2_and_name_the_key(shell: Shell) -> None:
    shell.paths.create()
    shell.paths.settings_file.write_text("[chat]\ncontxt_tokens = 1\n")
    assert shell("ask", "x") == 2
    assert "chat.contxt_tokens is not a setting" in shell.err
    assert "did you mean chat.context_tokens?" in shell.err
    assert shell.opened == []


@pytest.mark.parametrize(
    "arguments", [["--device", "gpu", "search", "x"], ["search", "x", "--device", "gpu"]], ids=["before", "behind"]
)
def test_the_device_may_stand_before_the_command_or_behind_it(shell: Shell, arguments: list[str]) -> None:
    assert shell(*arguments) == 0
    assert shell.opened[0][1] == "gpu"


def test_the_environment_overrides_the_settings(shell: Shell) -> None:
    assert shell("search", "x", environ={"HOMEBODY_DEVICE": "cpu", "HOMEBODY_CHAT_MODEL": "mine"}) == 0
    settings, device, write = shell.opened[0]
    assert (settings.device.device, settings.chat.model, device, write) == ("cpu", "mine", None, False)
