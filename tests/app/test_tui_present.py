"""What is shown for what pipelines say: pure functions, checked value by value."""

from __future__ import annotations

import pytest

from app.answer_work import TextBatch
from app.keys import all_shown_keys, shown_key
from app.present import (
    conversation_row,
    copied_answer,
    document_row,
    engine_label,
    index_activity,
    index_report,
    library_summary,
    phase,
    source_row,
    title_of,
)
from app.wording import index_progress
from pipelines.events import FileFailed, IndexProgress, IndexReport, PromptBuilt, PromptProgress, TextDelta
from pipelines.home import ConversationSummary, LibraryStatus
from tests.app.fake_home import FakeHome, citation, document


def test_text_goes_on_by_time_and_none_is_lost() -> None:
    now = [0.0]
    batch = TextBatch(per_s=8, clock=lambda: now[0])
    handed_on: list[str] = []
    for number in range(100):
        now[0] += 0.05
        if text := batch.add(f"{number} "):
            handed_on.append(text)
    handed_on.append(batch.take())
    assert "".join(handed_on) == "".join(f"{number} " for number in range(100))
    assert len(handed_on) <= 5.0 * 8 + 2
    assert handed_on[0] == "0 "  # the first word does not wait
    assert batch.take() == ""


@pytest.mark.parametrize(
    ("progress", "shown", "activity"),
    [
        (IndexProgress("walking", 0, 0), "Looking for files", "indexing"),
        (IndexProgress("walking", 12, 0), "Looking for files · 12 files", "indexing"),
        (
            IndexProgress("reading", 100, 2000, rate_per_s=10),
            "Reading · 100 of 2,000 files · 10/s · 3 min left",
            "indexing 5 % (reading)",
        ),
        (
            IndexProgress("reading", 1, 4, rate_per_s=0.05, large_file="/mail/Inbox.mbox", read_share=0.5),
            "Reading · 1 of 4 files · 50 s left · Inbox.mbox 50 %",
            "indexing 37 % (reading)",
        ),
        (IndexProgress("embedding", 1, 1), "Embedding · 1 of 1 passage", "indexing 100 % (embedding)"),
        (
            IndexProgress("storing", 5, 9, rate_per_s=0.5),
            "Storing · 5 of 9 passages · 8 s left",
            "indexing 55 % (storing)",
        ),
    ],
)
def test_index_progress_and_activity(progress: IndexProgress, shown: str, activity: str) -> None:
    assert index_progress(progress) == shown
    assert index_activity(progress) == activity


def test_index_report_names_only_what_happened() -> None:
    report = IndexReport(1, 0, 0, (), 5, 2.4)
    assert index_report(report) == "Up to date: 1 file read, 5 new passages, 2.4 s"
    failed = (FileFailed("a", "b"), FileFailed("c", "d"))
    stopped = IndexReport(3, 2000, 4, failed, 1, 190.0, stopped=True)
    assert index_report(stopped) == (
        "Stopped: 3 files read, 2,000 unchanged, 4 removed, 2 could not be read, 1 new passage, 3 min"
    )


def test_phases() -> None:
    assert phase(PromptBuilt(1, 0, 0, 100)) == "Reading 1 passage"
    assert phase(PromptProgress(0, 0)) == "Reading 0 tokens"
    assert phase(TextDelta("x")) is None


def test_titles_and_rows_stay_on_one_line() -> None:
    assert title_of("\n\n  When does\tit end?\nsecond line") == "When does␉it end?"
    assert len(title_of("word " * 100)) <= 60
    assert title_of("") == ""
    assert "\n" not in source_row(citation(1, "/a\nb", quote="x\n\ny " * 200)).plain
    assert "it does not say this" in source_row(citation(1, supported=False)).plain
    assert "\n" not in document_row(document("/a\nb", "failed", reason="x\ny")).plain
    assert conversation_row(ConversationSummary(1, "", 1, 0.0)).plain.startswith("Untitled  1 turn")


def test_a_copied_answer_names_only_sources_that_say_it() -> None:
    cited = (citation(1, "/a.md", line=3), citation(2, "/b.md", supported=False))
    assert copied_answer("Words.\n", cited) == "Words.\n\nSources:\n[1] /a.md, line 3"
    assert copied_answer("Words.", ()) == "Words."


def test_library_and_engines_in_a_line() -> None:
    assert library_summary(LibraryStatus((), 0, 0, 0, 0, "", "")) == "No files yet"
    status = LibraryStatus(("/a",), 3, 1, 40, 12, "e", "exact")
    assert library_summary(status) == "3 files · 40 passages · 12 embedded · 1 could not be read"
    home = FakeHome()
    assert engine_label(home.engines()) == "tiny-chat · CPU, 2 threads"


def test_keys_as_people_write_them() -> None:
    assert shown_key("escape,q") == "esc"
    assert shown_key("f1") == "F1"
    assert shown_key("slash") == "/"
    assert shown_key("f") == "f"
    assert all_shown_keys("down,right,n") == "↓, →, n"
    assert all_shown_keys("shift+enter,ctrl+j") == "shift+enter, ctrl+j"
