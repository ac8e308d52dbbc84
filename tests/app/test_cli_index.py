"""`homebody index` with a Home of fakes: what it prints where, and how it ends."""

from __future__ import annotations

from pathlib import Path

from pipelines.events import FileFailed, IndexDone, IndexProgress, IndexReport, Notice
from tests.app.shell import HOSTILE, Shell


def test_index_reports_what_it_did(shell: Shell, tmp_path: Path) -> None:
    failed = (FileFailed(f"{tmp_path}/docs/{HOSTILE}.pdf", "it needs a password", "remove the password"),)
    shell.home.enqueue_index(
        IndexProgress("reading", 1, 12, path=f"{tmp_path}/docs/a.md", rate_per_s=3.0),
        Notice("no embedder is installed", "homebody models pull --for embed"),
        failed[0],
        IndexDone(IndexReport(11, 2, 1, failed, 140, 4.2)),
    )
    assert shell("index", str(tmp_path / "docs")) == 0
    assert shell.home.indexed == [[tmp_path / "docs"]]
    assert shell.out.splitlines() == [
        "11 files read, 2 unchanged, 1 removed, 1 not readable; 140 new passages in 4.2 s",
        f"  {tmp_path}/docs/␛red␛�.pdf",
        "    it needs a password",
        "    remove the password",
    ]
    assert shell.err.splitlines() == [
        "━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌   8 %  Reading · 1 of 12 files · 3/s · 4 s left",
        "homebody: no embedder is installed",
        "  homebody models pull --for embed",
    ]
    assert shell.opened[0][2] is True


def test_index_json_is_the_report(shell: Shell, tmp_path: Path) -> None:
    report = IndexReport(1, 0, 0, (FileFailed("/x", "empty"),), 3, 0.5)
    shell.home.enqueue_index(IndexDone(report))
    assert shell("index", "--json", str(tmp_path)) == 0
    assert shell.json == {
        "indexed": 1,
        "unchanged": 0,
        "removed": 0,
        "failed": [{"path": "/x", "reason": "empty"}],
        "unsupported": 0,
        "chunks": 3,
        "seconds": 0.5,
    }


def test_what_no_reader_takes_is_one_line_and_no_failure(shell: Shell, tmp_path: Path) -> None:
    kinds = {".jpg": 1200, ".iso": 2}
    shell.home.enqueue_index(IndexDone(IndexReport(1, 0, 0, (), 3, 0.5, unsupported=kinds)))
    assert shell("index", str(tmp_path)) == 0
    assert "not read: 1,200 .jpg, 2 .iso" in " ".join(shell.out.split())


def test_index_fails_when_what_was_named_cannot_be_read(shell: Shell, tmp_path: Path) -> None:
    named = str(tmp_path / "gone.md")
    shell.home.enqueue_index(IndexDone(IndexReport(0, 0, 0, (FileFailed(named, "it does not exist"),), 0, 0.1)))
    assert shell("index", named) == 1
    assert "it does not exist" in shell.out


def test_index_without_a_path_takes_what_was_indexed_before(shell: Shell) -> None:
    assert shell("index", "--reembed") == 0
    assert shell.home.indexed == [[Path("/files")]]
    assert shell.home.reembedded == [True]


def test_index_without_a_path_in_an_empty_library_is_wrong_usage(shell: Shell) -> None:
    shell.home.roots = ()
    assert shell("index") == 2
    assert "homebody index PATH" in shell.err


def test_index_beside_another_writer_is_refused(shell: Shell) -> None:
    shell.home.read_only = "another homebody (pid 17) writes to this library"
    assert shell("index", "/files") == 1
    assert "pid 17" in shell.err
    assert shell.home.indexed == []


def test_a_stopped_index_says_how_to_go_on(shell: Shell) -> None:
    shell.home.enqueue_index(IndexDone(IndexReport(1, 0, 0, (), 3, 0.5, stopped=True)))
    assert shell("index", "/files") == 130
    assert "run it again" in shell.err
    assert "beginning" not in shell.err
    shell.home.enqueue_index(IndexDone(IndexReport(1, 0, 0, (), 3, 0.5, stopped=True, broken_off="/files/all.csv")))
    assert shell("index", "/files") == 130
    assert "/files/all.csv is read from its beginning then" in shell.err


def test_a_long_list_of_failures_is_cut_and_says_so(shell: Shell) -> None:
    failed = tuple(FileFailed(f"/files/{n}.pdf", "encrypted") for n in range(50))
    shell.home.enqueue_index(IndexDone(IndexReport(0, 0, 0, failed, 0, 0.5)))
    assert shell("index", "/files") == 0
    assert len(shell.out.splitlines()) == 42
    assert "30 more" in shell.out
