"""Scripts rely on the exit status: what is missing, what was asked wrongly, what failed."""

from __future__ import annotations

import pytest

from app.exit_codes import ExitCode, exit_code_of
from models.errors import DeviceUnavailable, EngineFailed, NotEnoughMemory, UnknownModel, WeightsDamaged, WeightsMissing
from pipelines.errors import EmptyQuestion, FileNotUsable, NoSuchConversation, OfflineViolation, SettingsInvalid
from rag.errors import LibraryLocked


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (WeightsMissing("no"), 3),
        (WeightsDamaged("no"), 3),
        (NotEnoughMemory("no"), 3),
        (DeviceUnavailable("no"), 3),
        (SettingsInvalid("no"), 2),
        (EmptyQuestion("no"), 2),
        (EngineFailed("no"), 1),
        (UnknownModel("no"), 1),
        (FileNotUsable("no"), 1),
        (NoSuchConversation("no"), 1),
        (OfflineViolation("no"), 1),
        (LibraryLocked("no"), 1),
    ],
)
def test_an_error_has_its_status(error: Exception, expected: int) -> None:
    assert exit_code_of(error) == expected


def test_the_numbers_are_the_contract() -> None:
    assert {each.name: each.value for each in ExitCode} == {
        "OK": 0,
        "FAILED": 1,
        "USAGE": 2,
        "MISSING": 3,
        "INTERRUPTED": 130,
        "PIPE_CLOSED": 141,
    }
