"""`homebody search` and `look` with a Home of fakes: what they print where, and how they end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from app.terminal_text import is_forbidden
from models.errors import EngineFailed, WeightsMissing
from models.labels import Label
from pipelines.errors import QueryNotUnderstood
from pipelines.events import Notice, SearchResult
from pipelines.look import Look, SeenText
from rag.errors import DamagedFile
from rag.pictures import PictureFacts
from tests.app.fake_home import citation, document, done
from tests.app.shell import HOSTILE, Shell, hit


def test_search_shows_places_and_passages(shell: Shell) -> None:
    shell.home.results.append(
        SearchResult(
            (
                hit(1, f"{Path.cwd()}/notes/lease.md", "The lease ends on 31 March.\n\nNo sooner. " * 20, line=12),
                hit(2, f"/far/{HOSTILE}.md", HOSTILE),
            ),
            0.012,
            (Notice("searched by words only", "homebody models pull --for embed"),),
        )
    )
    assert shell("search", "when does it end", "-k", "2", "--kind", "text,image") == 0
    assert shell.home.searches == [("when does it end", 2, frozenset({"text", "image"}))]
    lines = shell.out.splitlines()
    assert lines[0] == f"1  {Path('notes', 'lease.md')}:12"
    assert lines[1].startswith("   The lease ends on 31 March. No sooner. The lease")
    assert lines[3].endswith("…")
    assert lines[4:] == ["2  /far/␛red␛�.md:1", "   ␛red␛�"]
    assert max(map(len, lines)) <= 80
    assert shell.err.splitlines() == [
        "homebody: searched by words only",
        "  homebody models pull --for embed",
        "2 passages in 12 ms",
    ]


def seen() -> Look:
    return Look(
        path="/f/receipt.jpg",
        facts=PictureFacts(780, 1060, "JPEG", camera="Camera 1"),
        labels=(Label("menu", 0.4),),
        lines=(SeenText(HOSTILE, (1.0, 2.0, 3.0, 4.0), 0.98),),
        text=HOSTILE,
        caption="Photo receipt.",
    )


def test_look_says_what_is_seen_cleaned(shell: Shell) -> None:
    shell.home.seen.append(seen())
    assert shell("look", "receipt.jpg") == 0
    assert shell.home.looked_at == [Path("receipt.jpg")]
    assert shell.out.splitlines()[:2] == ["JPEG, 780 x 1060", "Photo receipt."]
    assert not [char for char in shell.out.replace("\n", "") if is_forbidden(char)]


def test_look_asks_about_what_is_seen_and_nothing_else(shell: Shell) -> None:
    shell.home.seen.append(seen())
    shell.home.enqueue("59.34", done("59.34", citations=[citation(1, "/f/receipt.jpg", quote="TOTAL 59.34")]))
    assert shell("look", "receipt.jpg", "--ask", "What was the total?", "--json") == 0
    (turn,) = shell.home.history
    assert (turn.question, turn.use_library, turn.save) == ("What was the total?", False, False)
    assert turn.attachments == (seen().as_attachment(),)
    assert (shell.json["answer"], shell.json["width"], shell.json["exif"]) == ("59.34", 780, {"camera": "Camera 1"})
    assert shell.json["ocr"] == [{"text": HOSTILE, "box": [1.0, 2.0, 3.0, 4.0], "score": 0.98}]
    assert shell.json["citations"][0]["quote"] == "TOTAL 59.34"
    assert shell.json["tier"] == "text"


def test_look_says_that_the_model_saw_the_picture(shell: Shell) -> None:
    shell.home.seen.append(seen())
    shell.home.enqueue(
        "A cat.", replace(done("A cat."), answer=replace(done("A cat.").answer, pictures=("/f/cat.jpg",)))
    )
    assert shell("look", "cat.jpg", "--ask", "Which animal?", "--json") == 0
    assert (shell.json["answer"], shell.json["tier"]) == ("A cat.", "vision")


def test_look_takes_labels_of_ones_own(shell: Shell, tmp_path: Path) -> None:
    compared = (Label("a dog", 0.91), Label("a cat", 0.04))
    shell.home.seen.append(replace(seen(), compared=compared))
    assert shell("look", "pet.jpg", "--labels", "a cat, a dog,, a cat") == 0
    assert shell.home.looked_for_labels == [("a cat", "a dog")]
    assert shell.out.splitlines()[2:4] == [" 91.0%  a dog", "  4.0%  a cat"]
    (tmp_path / "breeds.txt").write_text("Pug\n\nBeagle\n", encoding="utf-8")
    shell.home.seen.append(replace(seen(), compared=compared))
    assert shell("look", "pet.jpg", "--json", "--labels", f"@{tmp_path}/breeds.txt") == 0
    assert shell.home.looked_for_labels[-1] == ("Pug", "Beagle")
    assert shell.json["labels"][:2] == [{"name": "a dog", "score": 0.91}, {"name": "a cat", "score": 0.04}]
    for wrong in (",", f"@{tmp_path}/none.txt", "x" * 300):
        assert shell("look", "pet.jpg", "--labels", wrong) == 2
    shell.home.seen.append(WeightsMissing("no CLIP is installed", hint="run: homebody models pull --for clip"))
    assert shell("look", "pet.jpg", "--labels", "a") == 3


def test_look_passes_on_why_a_file_cannot_be_looked_at(shell: Shell) -> None:
    shell.home.seen.append(DamagedFile("a.png is not a picture that can be read", hint="get it again"))
    assert shell("look", "a.png") == 1
    assert "a.png is not a picture" in shell.err


def test_search_takes_a_picture_in_place_of_words(shell: Shell) -> None:
    shell.home.results.append(SearchResult((hit(1, "/f/a.png", "Picture a."),), 0.01))
    assert shell("search", "--json", "--like", "b.png") == 0
    assert (shell.home.searches[-1][0], shell.home.liked) == ("", [Path("b.png")])
    assert shell.json["hits"][0]["path"] == "/f/a.png"
    shell.home.results.append(WeightsMissing("no CLIP is installed", hint="run: homebody models pull --for clip"))
    assert shell("search", "--like", "b.png") == 3
    assert "homebody models pull --for clip" in shell.err
    assert shell("search") == 2


def test_search_json_is_the_result(shell: Shell) -> None:
    shell.home.results.append(SearchResult((hit(1, "/f/lease.md", HOSTILE, line=12),), 0.0123456))
    assert shell("search", "--json", "x") == 0
    assert not [char for char in shell.out if is_forbidden(char)]
    assert shell.json == {
        "hits": [
            {
                "rank": 1,
                "score": 1.0,
                "path": "/f/lease.md",
                "kind": "text",
                "locator": {"line": 12},
                "text": HOSTILE,
            }
        ],
        "seconds": 0.0123,
    }


def test_kinds_are_families_too_and_what_is_none_is_said(shell: Shell) -> None:
    shell.home.results.append(SearchResult((), 0.1))
    assert shell("search", "--kind", "pdf, image", "x") == 0
    assert shell.home.searches[-1] == ("x", 10, frozenset({"pdf", "image"}))
    assert shell("search", "--kind", "pfd", "x") == 2
    assert "there is no kind pfd" in shell.err


def test_a_filter_that_makes_no_sense_is_wrong_usage(shell: Shell) -> None:
    shell.home.results.append(QueryNotUnderstood("after:soon is no date", hint="write 2025"))
    assert shell("search", "x after:soon") == 2
    assert "after:soon is no date" in shell.err
    assert "write 2025" in shell.err


def test_nothing_found_and_nothing_there_are_told_apart(shell: Shell) -> None:
    assert shell("search", "x") == 0
    assert "the library is empty" in shell.err
    shell.home.files = [document("/files/a.md")]
    assert shell("search", "x") == 0
    assert shell.err == "homebody: nothing found\n"


def test_search_batch_answers_line_by_line_and_goes_on_after_an_error(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "questions").write_text("one\n\n two \nthree", encoding="utf-8-sig")
    shell.home.results += [SearchResult((), 0.5), EngineFailed("broke", hint="again"), SearchResult((), 0.25)]
    assert shell("search", "--batch", str(tmp_path / "questions")) == 1
    assert [json.loads(line) for line in shell.out.splitlines()] == [
        {"query": "one", "hits": [], "seconds": 0.5},
        {"query": "two", "error": "broke", "hint": "again"},
        {"query": "three", "hits": [], "seconds": 0.25},
    ]
    assert len(shell.opened) == 1
