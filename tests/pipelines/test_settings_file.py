"""A settings file is taken as a whole or refused with the file, the key and the way out; writing keeps comments."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pipelines.errors import SettingsInvalid
from pipelines.settings import Settings
from pipelines.settings_file import ENVIRONMENT, load, set_value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.toml"


def test_a_missing_file_gives_the_defaults_and_is_not_made(file: Path) -> None:
    assert load(file, {}) == Settings()
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "\ufeff[chat]\n"])
def test_an_empty_file_gives_the_defaults(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    assert load(file, {}) == Settings()


def test_labels_are_a_list_of_short_names(file: Path) -> None:
    file.write_text('[clip]\nlabels = ["a red bicycle", "Bello"]\n')
    assert load(file, {}).clip.labels == ("a red bicycle", "Bello")
    for wrong in ('[" "]', f'["{"x" * 201}"]', "[1]", '"dog"'):
        file.write_text(f"[clip]\nlabels = {wrong}\n")
        with pytest.raises(SettingsInvalid, match=r"clip\.labels"):
            load(file, {})


def test_what_it_says_is_taken(file: Path) -> None:
    file.write_text('[chat]\nmodel = "mine.gguf"\ntemperature = 1\n[look]\ntheme = "homebody-light"\n')
    settings = load(file, {})
    assert settings.chat.model == "mine.gguf"
    assert settings.chat.temperature == 1.0
    assert settings.look.theme == "homebody-light"
    assert settings.answer == Settings().answer


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[chat]\ncontxt_tokens = 1", "chat.contxt_tokens is not a setting", "did you mean chat.context_tokens?"),
        (
            "[chat]\nzzz = 1",
            "chat.zzz is not a setting",
            "Known in [chat]: model, vision_model, picture_tokens, context_tokens",
        ),
        ("[cht]\nmodel = 'x'", "cht is not a setting", "did you mean chat?"),
        ("colour = 1", "colour is not a setting", "Known as sections: chat, embed"),
        ("chat = 3", "chat = 3 is not allowed", "ChatSettings"),
        ("[chat]\ncontext_tokens = '4096'", "chat.context_tokens = '4096' is not allowed", "a valid integer"),
        ("[chat]\ncontext_tokens = true", "chat.context_tokens = True is not allowed", "a valid integer"),
        ("[chat]\ncontext_tokens = 1", "chat.context_tokens = 1 is not allowed", "greater than or equal to 512"),
        ("[chat]\ncontext_tokens = 1" + "0" * 400, "chat.context_tokens = a huge number", "less than or equal"),
        ("[chat]\ntemperature = nan", "chat.temperature = nan is not allowed", "finite"),
        ("[library]\nread_timeout_s = inf", "library.read_timeout_s = inf is not allowed", "finite"),
        ("[library]\nmax_file_mb = 99999999999999", "library.max_file_mb", "less than or equal"),
        ("[device]\ndevice = 'tpu'", "device.device = 'tpu' is not allowed", "'auto', 'cpu', 'gpu' or 'npu'"),
        ("[look]\ntheme = '" + "x" * 5000 + "'", "look.theme = 'xxx", "homebody-dark"),
        ("[chat]\na = 1\nb = 2", "chat.a is not a setting (and 1 more)", "Known in"),
        ("[chat\nmodel = 1", "not valid TOML", "correct it"),
        ("[chat]\ncontext_tokens = 1" + "0" * 5000, "not valid TOML", "correct it"),
        ("x = " + "[" * 100_000, "nested too deeply", "sections"),
        ("#" * 1_000_001, "too large", "move it away"),
    ],
)
def test_a_wrong_file_is_refused_with_the_way_out(file: Path, text: str, message: str, hint: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsInvalid) as refused:
        load(file, {})
    assert str(file) in str(refused.value)
    assert message in str(refused.value)
    assert len(str(refused.value)) < 400 + len(str(file))
    assert hint in refused.value.hint


def test_a_file_that_is_not_text_is_refused(file: Path) -> None:
    file.write_bytes(b"# fine\nmodel = '\xff\xfe'")
    with pytest.raises(SettingsInvalid, match=r"not UTF-8 text \(line 2\)"):
        load(file, {})


def test_a_folder_in_its_place_is_refused(file: Path) -> None:
    file.mkdir()
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        load(file, {})


def test_the_environment_wins_and_is_checked_too(file: Path) -> None:
    file.write_text("[device]\ndevice = 'gpu'\n")
    assert load(file, {"HOMEBODY_DEVICE": "cpu", "HOMEBODY_CHAT_MODEL": "m"}).device.device == "cpu"
    assert load(file, {"HOMEBODY_DEVICE": ""}).device.device == "gpu"
    with pytest.raises(SettingsInvalid, match="the environment variable HOMEBODY_DEVICE"):
        load(file, {"HOMEBODY_DEVICE": "tpu"})


def test_the_environment_overrides_settings_that_exist() -> None:
    for section, key in ENVIRONMENT.values():
        assert key in type(getattr(Settings(), section)).model_fields


def test_setting_a_value_keeps_comments_and_order(file: Path) -> None:
    file.write_text('# mine\n[look]  # how it looks\ntheme = "homebody-dark" # at night\n\n[chat]\nmodel = "m"\n')
    settings = set_value(file, "look", "theme", "homebody-light")
    assert settings.look.theme == "homebody-light"
    assert settings == load(file, {})
    assert file.read_text() == (
        '# mine\n[look]  # how it looks\ntheme = "homebody-light" # at night\n\n[chat]\nmodel = "m"\n'
    )


def test_setting_a_value_makes_the_file_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "home" / "settings.toml"
    assert set_value(file, "chat", "context_tokens", 4096).chat.context_tokens == 4096
    assert load(file, {}).chat.context_tokens == 4096
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["settings.toml"]


@pytest.mark.parametrize(
    ("section", "key", "value"), [("look", "theme", "neon"), ("look", "thme", "x"), ("nowhere", "x", 1)]
)
def test_an_invalid_value_leaves_the_file_as_it_was(file: Path, section: str, key: str, value: str | int) -> None:
    file.write_text("[look]\ntheme = 'homebody-light'\n")
    with pytest.raises(SettingsInvalid):
        set_value(file, section, key, value)
    assert file.read_text() == "[look]\ntheme = 'homebody-light'\n"
    assert list(file.parent.iterdir()) == [file]


def test_a_broken_file_is_not_written_over(file: Path) -> None:
    file.write_text("[look\n")
    with pytest.raises(SettingsInvalid, match="not valid TOML"):
        set_value(file, "look", "theme", "homebody-light")
    assert file.read_text() == "[look\n"


def test_a_value_in_place_of_a_section_is_refused(file: Path) -> None:
    file.write_text("look = 3\n")
    with pytest.raises(SettingsInvalid, match="look is a section"):
        set_value(file, "look", "theme", "homebody-light")


def test_a_link_to_a_file_kept_elsewhere_stays_a_link(tmp_path: Path, file: Path) -> None:
    kept = tmp_path / "dotfiles.toml"
    kept.write_text("# kept\n")
    file.symlink_to(kept)
    set_value(file, "look", "theme", "homebody-light")
    assert file.is_symlink()
    assert "homebody-light" in kept.read_text()
