"""`homebody chats` with conversations of a Home of fakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.shell import HOSTILE, Shell


@pytest.fixture
def chats(shell: Shell) -> Shell:
    shell.home.conversations.add(
        "When does the lease end?", [("When does the lease end?", "31 March.")], updated_at_s=1.0
    )
    shell.home.conversations.add(f"Boiler {HOSTILE}", [("Boiler?", "Yes."), ("When?", "May.")], updated_at_s=2.0)
    return shell


def test_chats_are_listed_latest_first(chats: Shell) -> None:
    assert chats("chats", "list") == 0
    first, second = chats.out.splitlines()
    assert first.startswith("2  Boiler ␛red␛� ")
    assert first.endswith("2 turns, 1970-01-01")
    assert second.startswith("1  When does the lease end? ")
    assert max(len(first), len(second)) <= 80
    assert chats.opened[0][2] is False


def test_chats_are_found_by_words(chats: Shell) -> None:
    assert chats("chats", "search", "lease", "--json") == 0
    assert [each["conversation_id"] for each in chats.json["chats"]] == [1]
    assert chats.json["chats"][0]["updated_at"].startswith("1970-01-01T")
    assert chats("chats", "search", "nowhere") == 0
    assert (chats.out, chats.err) == ("", "homebody: no conversation has these words\n")


def test_a_chat_is_shown(chats: Shell) -> None:
    assert chats("chats", "show", "1") == 0
    assert chats.out == "# When does the lease end?\n"
    assert chats("chats", "show", "2", "--json") == 0
    assert [(turn["question"], turn["answer"]) for turn in chats.json["turns"]] == [
        ("Boiler?", "Yes."),
        ("When?", "May."),
    ]
    assert chats("chats", "show", "99") == 1
    assert "no conversation 99" in chats.err


def test_a_chat_is_exported_exactly_and_never_over_a_file(chats: Shell, tmp_path: Path) -> None:
    target = tmp_path / "boiler.md"
    assert chats("chats", "export", "2", "--to", str(target)) == 0
    assert target.read_text() == f"# Boiler {HOSTILE}\n"
    assert chats("chats", "export", "1", "--to", str(target)) == 1
    assert "exists already" in chats.err
    assert target.read_text() == f"# Boiler {HOSTILE}\n"
    assert chats("chats", "export", "2") == 0
    assert chats.out == "# Boiler ␛red␛�\n"


def test_a_chat_is_deleted_only_when_somebody_said_so(chats: Shell) -> None:
    assert chats("chats", "delete", "1") == 2
    assert "--yes" in chats.err
    assert set(chats.home.conversations.kept) == {1, 2}
    assert chats("chats", "delete", "1", "2", "--yes") == 0
    assert chats.home.conversations.kept == {}
    assert chats.opened[-1][2] is True
