"""Markdown's further syntax, reStructuredText, Org, AsciiDoc and LaTeX."""

from __future__ import annotations

import io
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import DamagedFile, EmptyFile
from rag.readers.asciidoc import read_asciidoc
from rag.readers.contract import OpenedFile, Reader, ReadLimits
from rag.readers.front_matter import find_front_matter
from rag.readers.latex import read_latex, readable_line
from rag.readers.markdown import read_markdown
from rag.readers.org import read_org
from rag.readers.rst import read_rst
from tests.rag.conftest import Opened

LIMITS = ReadLimits()
READERS: dict[str, Reader] = {
    "md": read_markdown,
    "rst": read_rst,
    "org": read_org,
    "adoc": read_asciidoc,
    "tex": read_latex,
}

RST = """=====
Lease
=====

:Author: Ada Lovelace
:Date: 2025-02-03

.. a comment
   that goes on

.. _rent-label:

Rent
----
See :py:class:`~lease.Rent`, :ref:`the terms <terms>` and `the site <https://example.org>`_.

.. note:: It is due
   on the first.

Code::

    # not a title
    -------------

Late fees
~~~~~~~~~
Five euros.

Deposit
-------
Three months.
"""
ORG = """#+TITLE: Lease
#+AUTHOR: Ada Lovelace
#+DATE: <2025-02-03 Mon>
Preamble.
* TODO [#A] Rent :home:money:
:PROPERTIES:
:ID: 12
:END:
See [[https://example.org][the site]].
** Late fees
#+begin_src sh
* not a headline
#+end_src
* Deposit
"""
ADOC = """= Lease
Ada Lovelace <ada@example.org>
v1, 2025-02-03

Preamble, see <<rent,the rent>>.

[[rent]]
== Rent
// a comment
----
== not a title
----

=== Late fees
Five euros.
"""
TEX = r"""\documentclass{article}
\title{The \emph{Lease}}
\author{Ada Lovelace \and Charles Babbage}
\date{2025-02-03}
\begin{document}
Preamble 5\% off. % a comment
\section{Rent}\label{sec:rent}
It is \textbf{due}~\cite{knuth84}, says M\"uller's caf\'e: $E = \alpha^2$.
\begin{itemize}
  \item First
  \item[Then] second
\end{itemize}
\subsection[short]{Late
fees} Five euros.
\begin{verbatim}
\section{not a heading} % kept
\end{verbatim}
\input{/etc/passwd}
\end{document}
Not this.
"""


def found(opened: Opened, path: Path, content: str) -> list[tuple[int | None, tuple[str, ...], str]]:
    reading = READERS[path.suffix[1:]](opened(path, content), LIMITS)
    return [(block.locator.line, block.heading_path, block.text) for block in reading.blocks]


def test_rst_is_cut_at_its_sections(opened: Opened, tmp_path: Path) -> None:
    text = "See lease.Rent, the terms and the site.\n\nNote: It is due\n   on the first.\n\n"
    assert found(opened, tmp_path / "a.rst", RST) == [
        (5, ("Lease",), ":Author: Ada Lovelace\n:Date: 2025-02-03"),
        (15, ("Lease", "Rent"), text + "Code::\n\n    # not a title\n    -------------"),
        (27, ("Lease", "Rent", "Late fees"), "Five euros."),
        (31, ("Lease", "Deposit"), "Three months."),
    ]


def test_org_is_cut_at_its_headlines(opened: Opened, tmp_path: Path) -> None:
    rent = "TODO Rent (home, money)"
    assert found(opened, tmp_path / "a.org", ORG) == [
        (1, (), "#+TITLE: Lease\n#+AUTHOR: Ada Lovelace\n#+DATE: <2025-02-03 Mon>\nPreamble."),
        (9, (rent,), "See the site."),
        (11, (rent, "Late fees"), "#+begin_src sh\n* not a headline\n#+end_src"),
        (14, (), "Deposit"),
    ]


def test_asciidoc_is_cut_at_its_titles(opened: Opened, tmp_path: Path) -> None:
    header = "Ada Lovelace <ada@example.org>\nv1, 2025-02-03\n\nPreamble, see the rent."
    assert found(opened, tmp_path / "a.adoc", ADOC) == [
        (2, ("Lease",), header),
        (10, ("Lease", "Rent"), "----\n== not a title\n----"),
        (15, ("Lease", "Rent", "Late fees"), "Five euros."),
    ]


def test_latex_gives_the_words_of_its_commands(opened: Opened, tmp_path: Path) -> None:
    rent = "It is due [knuth84], says Müller's café: $E = \\alpha^2$.\n\n  - First\n  - Then second"
    late = " Five euros.\n\n\\section{not a heading} % kept\n\n/etc/passwd"
    assert found(opened, tmp_path / "a.tex", TEX) == [
        (2, (), "The Lease\nAda Lovelace, Charles Babbage\n2025-02-03"),
        (6, (), "Preamble 5% off."),
        (8, ("Rent",), rent),
        (14, ("Rent", "Late fees"), late),
    ]


@pytest.mark.parametrize(
    ("name", "content"), [("a.rst", RST), ("a.org", ORG), ("a.adoc", ADOC), ("a.tex", TEX)], ids=str
)
def test_title_author_and_date_are_told(opened: Opened, tmp_path: Path, name: str, content: str) -> None:
    reading = READERS[name[2:]](opened(tmp_path / name, content), LIMITS)
    assert reading.title in ("Lease", "The Lease")
    assert reading.author.startswith("Ada Lovelace")
    assert reading.written_at_s == datetime(2025, 2, 3, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (r"na\"{\i}ve \c{c}a, \v{S}koda, \aa ngstr\"om", "naïve ça, Škoda, ångström"),
        (r"\href{https://example.org/a}{the site}, \url{https://example.org}", "the site (https://example.org/a), https://example.org"),
        (r"a & b \\ c & d", "a | b c | d"),
        (r"``quoted'' --- pages 3--5, \$5, \#1", '"quoted" \u2014 pages 3\u20135, $5, #1'),
        (r"\unknown[x]{kept} \includegraphics[width=3cm]{plan.png}", "kept plan.png"),
        (r"\begin{theorem}[Pythagoras] It holds.", "Pythagoras It holds."),
        (r"due\footnote{On the first.} \textcolor{red}{late} \emph{fee}s", "due On the first. red late fees"),
        (r"\begin{itemize}\item One\item[Then] two\end{itemize}", "- One - Then two"),
        (r"c \\ d\end{tabular}\caption{Fees}", "c d Fees"),
        (r"set \verb|max_rent{}| and \lstinline+a&b+", "set max_rent{} and a&b"),
    ],
)  # fmt: skip
def test_a_line_of_latex_reads_as_words(written: str, shown: str) -> None:
    assert readable_line(written) == shown


def test_a_latex_style_without_words_keeps_its_commands(opened: Opened, tmp_path: Path) -> None:
    ((_, _, text),) = found(opened, tmp_path / "a.tex", "\\usepackage{babel}\n\\vspace{3cm}\n")
    assert "babel" in text


def test_wiki_links_callouts_and_footnotes_read_as_words(opened: Opened, tmp_path: Path) -> None:
    source = """# Rent [[Home]]
See [[Lease 2024|the lease]], [[Lease 2024#Terms]] and `[[code]]`.[^due]

> [!warning]- Mind the date

```
[[kept]] [!note]
```

## Other
Text.

[^due]: On the first.
    Of each month.

After.
"""
    assert found(opened, tmp_path / "a.md", source) == [
        (
            2,
            ("Rent Home",),
            "See the lease (Lease 2024), Lease 2024 > Terms and `[[code]]`.[^due]\n\n"
            "> Warning: Mind the date\n\n```\n[[kept]] [!note]\n```",
        ),
        (11, ("Rent Home", "Other"), "Text."),
        (13, ("Rent Home",), "[^due]: On the first.\n    Of each month."),
        (16, ("Rent Home", "Other"), "After."),
    ]


@pytest.mark.parametrize(
    ("source", "title", "author"),
    [
        ("---\ntitle: Lease\nauthor: Ada\ndate: 2025-02-03\n---\nx", "Lease", "Ada"),
        ("---\ntitle: 'Lease: the facts'\nauthors:\n  - Ada\n  - name: Bob\n---\nx", "Lease: the facts", "Ada, Bob"),
        ("---\nTitle: Lease: the facts\nauthor: [Ada]\nbroken: {\n---\nx", "Lease: the facts", "Ada"),
        ('+++\ntitle = "Lease"\nauthor = "Ada"\ndate = 2025-02-03\n+++\nx', "Lease", "Ada"),
        ("+++\nbroken =\n+++\nx", "", ""),
        ("+++\ntitle = 1984\nauthor = 0x" + "f" * 9_000 + "\n+++\nx", "1984", ""),
        ("---\ntitle: &a Lease\nauthor: *b\n...\nx", "&a Lease", "*b"),
    ],
)
def test_front_matter_names_the_document(source: str, title: str, author: str) -> None:
    front = find_front_matter(source)
    assert (front.title, front.author) == (title, author)
    assert source[front.length :] == "x"


@pytest.mark.parametrize("source", ["---\n\nJust a ruler.\n\n---\n", "---\ntitle: never closed\n", "+++\n", "text"])
def test_a_ruler_and_an_open_mark_are_no_front_matter(opened: Opened, tmp_path: Path, source: str) -> None:
    assert find_front_matter(source).length == 0
    assert "".join(text for _, _, text in found(opened, tmp_path / "a.md", source + "x\n")).count("x") >= 1


BOMB = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}' if n else '*a'] * 9)}]\n" for n in range(40))


@pytest.mark.parametrize(
    "inside",
    [
        BOMB,
        "a: " + "[" * 10_000 + "\n",
        "<<: [*a]\n",
        "title: 1" + "0" * 9_000 + "\n",
        'title: "\\UFFFFFFFF"\n',
        'title: "\\U00110000"\n',
        "%YAML " + "1" * 9_000 + ".1\n",
    ],
    ids=["aliases", "brackets", "merge", "digits", "too large a character", "no character", "version"],
)
def test_hostile_front_matter_is_read_as_lines(opened: Opened, tmp_path: Path, inside: str) -> None:
    texts = found(opened, tmp_path / "a.md", f"---\n{inside}---\nThe rent.\n")
    assert texts[-1][2] == "The rent."


@pytest.mark.parametrize("extension", sorted(READERS))
@pytest.mark.parametrize(
    "piece",
    ["=\n", "a\n=\n\n", "[[", "`", "\\section{", "\\section{\n", "\\begin{a}\n", "{", "$", "* a\n", "<<", ".. \n "],
)
def test_hostile_markup_ends(opened: Opened, tmp_path: Path, extension: str, piece: str) -> None:
    content = piece * (20_000 // len(piece)) + "\n\nlast words\n"
    blocks = found(opened, tmp_path / f"a.{extension}", content)
    assert all(1 <= (line or 0) <= content.count("\n") + 1 for line, _, _ in blocks)


@pytest.mark.parametrize("extension", sorted(READERS))
def test_bytes_that_are_no_text_and_white_space_are_refused(opened: Opened, tmp_path: Path, extension: str) -> None:
    with pytest.raises(DamagedFile, match=rf"a\.{extension}"):
        found(opened, tmp_path / f"a.{extension}", "x\0y")
    with pytest.raises(EmptyFile, match=rf"b\.{extension}"):
        found(opened, tmp_path / f"b.{extension}", " \n\u200b\n")


@pytest.mark.parametrize(("name", "content"), [("a.rst", RST), ("a.org", ORG), ("a.adoc", ADOC), ("a.tex", TEX)])
def test_other_encodings_and_line_ends_make_no_difference(
    opened: Opened, tmp_path: Path, name: str, content: str
) -> None:
    expected = found(opened, tmp_path / name, content)
    for codec in ("utf-16", "utf-8-sig"):
        path = tmp_path / codec / name
        path.parent.mkdir()
        path.write_bytes(content.replace("\n", "\r\n").encode(codec))
        blocks = READERS[name[2:]](opened(path), LIMITS).blocks
        assert [(block.locator.line, block.heading_path, block.text) for block in blocks] == expected


@pytest.mark.parametrize(("name", "content"), [("a.rst", RST), ("a.org", ORG), ("a.adoc", ADOC), ("a.tex", TEX)])
def test_flipped_and_missing_bytes_are_read(opened: Opened, tmp_path: Path, name: str, content: str) -> None:
    rng = random.Random(11)
    for turn in range(15):
        damaged = bytearray(content.encode()[: rng.randrange(20, len(content))])
        for _ in range(10):
            damaged[rng.randrange(len(damaged))] = rng.randrange(32, 127)
        assert found(opened, tmp_path / f"{turn}{name}", damaged.decode())


@given(st.text(alphabet="=-~*#\\{}[]$%`:|.<> \nab", max_size=300), st.sampled_from(sorted(READERS)))
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_with_lines_inside_it(source: str, kind: str) -> None:
    content = source.encode()
    file = OpenedFile(f"/any.{kind}", io.BytesIO(content), len(content), 0)
    try:
        blocks = list(READERS[kind](file, LIMITS).blocks)
    except EmptyFile:
        assert not source.strip()
        return
    for block in blocks:
        assert 1 <= (block.locator.line or 0) <= source.count("\n") + 1
        assert block.text.strip()
