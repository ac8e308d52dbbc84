from __future__ import annotations

import contextlib
import io
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import DamagedFile, EmptyFile
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.notebook import MAX_OUTPUT_CHARS, read_notebook

LONG = "y = 1  # the same again\n" * 40
CELLS: list[object] = [
    {"cell_type": "markdown", "source": ["# Rent\n", "We *fit* it.\n", "## Data\n", "See [[Home]].\n"]},
    {
        "cell_type": "code",
        "source": "import pandas",
        "outputs": [
            {"output_type": "stream", "name": "stdout", "text": ["\x1b[31mread\x1b[0m\n", "ten rows"]},
            {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo" * 1000, "text/plain": "<Figure>"}},
        ],
    },
    {
        "cell_type": "code",
        "source": LONG,
        "outputs": [{"output_type": "error", "ename": "ValueError", "evalue": "bad"}],
    },
    {"cell_type": "markdown", "source": "## Fit"},
    {"cell_type": "code", "source": "model.fit()", "outputs": []},
    {"cell_type": "raw", "source": "raw words"},
]


def read(notebook: object) -> Reading:
    raw = notebook if isinstance(notebook, bytes) else json.dumps(notebook).encode()
    return read_notebook(OpenedFile("/a.ipynb", io.BytesIO(raw), len(raw), 0), ReadLimits())


def notebook_of(*cells: object) -> dict[str, object]:
    return {"nbformat": 4, "metadata": {"language_info": {"name": "python"}}, "cells": list(cells)}


def test_cells_stand_under_their_headings_and_numbers() -> None:
    reading = read(notebook_of(*CELLS))
    found = [(block.heading_path, block.text) for block in reading.blocks]
    assert reading.title == "Rent"
    shown = (
        "See Home.\n\n```python\nimport pandas\n```\n\nOutput:\n```\nread\nten rows\n```\n\nOutput:\n```\n<Figure>\n```"
    )
    assert found == [
        (("Rent", "cell 1"), "We *fit* it."),
        (("Rent", "Data", "cells 1-2"), shown),
        (("Rent", "Data", "cell 3"), f"```python\n{LONG.rstrip()}\n```"),
        (("Rent", "Data", "cell 3"), "Output:\n```\nValueError: bad\n```"),
        (("Rent", "Fit", "cells 5-6"), "```python\nmodel.fit()\n```\n\nraw words"),
    ]


def test_notebooks_of_the_older_format_are_read() -> None:
    cells = [
        {"cell_type": "heading", "level": 1, "source": "Rent"},
        {"cell_type": "code", "input": ["x = 1\n", "y"], "outputs": [{"output_type": "pyout", "text": "5"}]},
    ]
    (block,) = read({"nbformat": 3, "worksheets": [{"cells": cells}]}).blocks
    assert block.heading_path == ("Rent", "cell 2")
    assert block.text == "```\nx = 1\ny\n```\n\nOutput:\n```\n5\n```"


def test_a_fence_in_a_cell_does_not_end_its_block() -> None:
    (block,) = read(notebook_of({"cell_type": "code", "source": 'print("```")'})).blocks
    assert block.text.startswith("````python\n")


def test_a_long_output_is_cut_in_its_middle() -> None:
    output = {"output_type": "stream", "text": "first " + "loss 0.1\n" * 100_000 + "last"}
    text = "\n".join(
        block.text for block in read(notebook_of({"cell_type": "code", "source": "", "outputs": [output]})).blocks
    )
    assert "first" in text
    assert "last" in text
    assert len(text) < 2 * MAX_OUTPUT_CHARS


@pytest.mark.parametrize(
    "content",
    [b"not JSON", b'{"cells": [', b"[" * 100_000, b"[]", b"{}", b'{"cells": 5}', b'"cells"', b"\xff\xfe\x00"],
    ids=["words", "cut", "deep", "list", "no cells", "number", "string", "bytes"],
)
def test_what_is_no_notebook_is_refused(content: bytes) -> None:
    with pytest.raises(DamagedFile, match=r"a\.ipynb") as raised:
        read(content)
    assert raised.value.hint


def test_a_notebook_without_words_is_empty() -> None:
    with pytest.raises(EmptyFile):
        read(notebook_of({"cell_type": "code", "source": " \n", "outputs": [{"data": {"image/png": "iVBO"}}]}))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["source", "outputs", "data", "text", "text/html", "cell_type"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.lists(_JSON, max_size=4))
@settings(max_examples=100, deadline=None)
def test_any_json_for_cells_is_read_or_refused(cells: list[object]) -> None:
    try:
        blocks = list(read(notebook_of(*cells)).blocks)
    except EmptyFile:
        return
    assert all(block.text.strip() for block in blocks)


def test_flipped_bytes_are_read_or_refused() -> None:
    rng = random.Random(9)
    sound = json.dumps(notebook_of(*CELLS)).encode()
    for _ in range(60):
        damaged = bytearray(sound)
        for _ in range(3):
            damaged[rng.randrange(len(damaged))] = rng.randrange(32, 127)
        with contextlib.suppress(DamagedFile):
            assert list(read(bytes(damaged)).blocks)
