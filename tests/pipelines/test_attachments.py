"""Files that come with a question, read by the real readers."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.attachments import read_attachment
from pipelines.errors import FileNotUsable


def test_a_text_file_is_read_with_its_absolute_name(tmp_path: Path) -> None:
    file = tmp_path / "lease.md"
    file.write_text("# Lease\n\nIt ends on 3 May.\n\nThe deposit is 900 pounds.\n", encoding="utf-8")
    attachment = read_attachment(file)
    assert attachment.name == str(file)
    assert "It ends on 3 May." in attachment.text
    assert "The deposit is 900 pounds." in attachment.text


def test_an_old_encoding_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "alt.txt"
    file.write_bytes("Die Kündigungsfrist beträgt drei Monate, gemäß Vertrag über Räume.".encode("latin-1"))
    assert "beträgt drei Monate" in read_attachment(file).text


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "binary"])
def test_what_cannot_be_used_is_named_with_a_way_out(tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"{kind}.txt"
    match kind:
        case "folder":
            file.mkdir()
        case "empty":
            file.touch()
        case "binary":
            file.write_bytes(b"\x7fELF" + bytes(range(256)) * 40)
    with pytest.raises(FileNotUsable) as refused:
        read_attachment(file)
    assert file.name in str(refused.value)
    if kind != "empty":
        assert refused.value.hint
