"""Archives as folders: names, times, files inside. For bombs and damage see `test_files_inside`."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from rag.readers.archive import read_archive
from rag.readers.contract import ReadLimits
from tests.rag.conftest import Opened
from tests.rag.made_archives import zip_of


def test_a_file_without_a_date_hides_no_other(opened: Opened, tmp_path: Path) -> None:
    made = bytearray(zip_of({"first.txt": b"the rent", "second.txt": b"the lease"}))
    date_at = made.index(b"PK\x01\x02") + 12
    made[date_at : date_at + 4] = bytes(4)  # month 0, day 0
    members = list(read_archive(opened(tmp_path / "a.zip", bytes(made)), ReadLimits()).members)
    assert [(member.path, member.mtime_ns > 0) for member in members] == [("first.txt", False), ("second.txt", True)]
    assert members[0].open().read() == b"the rent"


@pytest.mark.parametrize(
    ("stated", "expected"), [("1e300", 0), ("inf", 0), ("nan", 0), ("-5", 0), ("12.5", 12 * 10**9)]
)
def test_times_that_cannot_be_are_not_known(opened: Opened, tmp_path: Path, stated: str, expected: int) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("notes.txt")
        entry.size, entry.pax_headers = 8, {"mtime": stated}
        archive.addfile(entry, io.BytesIO(b"the rent"))
    (member,) = read_archive(opened(tmp_path / "a.tar", made.getvalue()), ReadLimits()).members
    assert member.mtime_ns == expected
    assert member.open().read() == b"the rent"
