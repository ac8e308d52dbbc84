"""Broken and hostile MIME: the parts that are there are found, and the rest costs little."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import TooLarge
from rag.readers import mail_headers
from rag.readers.file_window import lines_beginning, open_window
from rag.readers.mime_parts import MAX_DEPTH, MAX_PARTS, Part, find_parts, open_body, text_of


def parsed(content: bytes) -> tuple[io.BytesIO, Part]:
    stream = io.BytesIO(content)
    return stream, find_parts(stream, 0, len(content))


def texts(content: bytes) -> list[str]:
    stream, root = parsed(content)
    return [text_of(stream, part, 1 << 20) for part in root.leaves()]


MIXED = b'Content-Type: multipart/mixed; boundary="b"\n\n'


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"--b\n\none\n--b\n\ntwo\n--b--\nepilogue", ["one", "two"]),
        (b"--b\n\none\n--b\n\ntwo", ["one", "two"]),
        (b"--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\nafter", ["one"]),
        (b"no part at all", ["no part at all"]),
        (b"--b  \n\none\n\n--b-- ", ["one\n"]),
        (b"--b\nthis is no header\n--b--", ["this is no header"]),
        (b"--bb\n\n--b\n\none\n--b--", ["one"]),
    ],
    ids=["whole", "never closed", "closed early", "none", "spaces", "no header", "longer boundary"],
)
def test_parts_are_found_though_boundaries_are_broken(body: bytes, found: list[str]) -> None:
    assert texts(MIXED + body) == found


def test_an_inner_boundary_that_is_never_closed_ends_with_the_outer_part() -> None:
    inner = b"--b\nContent-Type: multipart/alternative; boundary=i\n\n--i\n\ninner\n"
    assert texts(MIXED + inner + b"--b\n\nouter\n--b--") == ["inner", "outer"]


def test_nesting_is_limited() -> None:
    levels = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(1000))
    (text,) = texts(levels + b"\ndeep")
    assert text.endswith("deep")
    assert text.startswith(f"--b{MAX_DEPTH}\n")


def test_the_number_of_parts_is_limited() -> None:
    assert len(texts(MIXED + b"--b\n\nx\n" * 3 * MAX_PARTS)) <= MAX_PARTS + 1


@pytest.mark.parametrize(
    "header",
    [b"X: " + b"y" * 20_000_000, b"X: y\n" * 2_000_000, b"Subject: " + b"=?utf-8?q?" * 1_000_000],
    ids=["one line", "many", "encoded words"],
)
def test_a_header_of_many_megabytes_is_passed_over(header: bytes) -> None:
    stream, root = parsed(header + b"\n\nThe body")
    assert text_of(stream, root, 100).strip() == "The body"
    assert len(mail_headers.header_text(root.headers, "x")) <= mail_headers.MAX_VALUE_CHARS


@pytest.mark.parametrize(
    ("headers", "body", "text"),
    [
        (b"Content-Type: text/plain; charset=utf-8", "Grüße".encode(), "Grüße"),
        (b"Content-Type: text/plain; charset=us-ascii", "Grüße".encode(), "Grüße"),
        (b"Content-Type: text/plain; charset=iso-8859-1", "„Größe“".encode("cp1252"), "„Größe“"),
        (
            b"Content-Type: text/plain; charset=utf-8",
            "schöne Größe über alles".encode("cp1252"),
            "schöne Größe über alles",
        ),
        (b"Content-Type: text/plain; charset=punycode", b"abc-def", "abc-def"),
        (b"Content-Type: text/plain; charset=base64", b"abc", "abc"),
        (b"Content-Type: text/plain; charset=gb2312", "你好,世界".encode("gbk"), "你好,世界"),
        (b"Content-Transfer-Encoding: base64", b"SGVs\n*bG8*\n!", "Hello"),
        (b"Content-Transfer-Encoding: base64", b"SGVsbG8", "Hello"),
        (b"Content-Transfer-Encoding: quoted-printable", b"a=3Db=\nc=ZZ", "a=bc=ZZ"),
        (b"Content-Transfer-Encoding: x-uuencode", b"begin 644 x\n%2&5L;&\\\n`\nend\n", "Hello"),
        (b"Content-Transfer-Encoding: nonsense", b"as it is", "as it is"),
        (b"Content-Type: nonsense", b"as it is", "as it is"),
    ],
)
def test_text_is_decoded_by_what_fits(headers: bytes, body: bytes, text: str) -> None:
    assert texts(headers + b"\n\n" + body) == [text]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b'Content-Disposition: attachment; filename="a b.pdf"', "a b.pdf"),
        (b"Content-Disposition: attachment; filename*=utf-8''%C3%84%20r.pdf", "Ä r.pdf"),
        (b"Content-Disposition: attachment; filename*0*=utf-8''%e2%82; filename*1*=%ac.pdf", "€.pdf"),
        (b'Content-Type: x/y; name="=?UTF-8?B?UmVjaG51bmcgw7xiZXIucGRm?="', "Rechnung über.pdf"),
        (b"Content-Disposition: attachment; filename*x=1; filename*=''%", "%"),
        (b"Content-Disposition: attachment; filename*=nonsense'x'%ff", "ÿ"),
        (b'Content-Disposition: attachment; filename="a\rX-Injected: b"', "a X-Injected: b"),
        ('Content-Disposition: attachment; filename="Größe.txt"'.encode(), "Größe.txt"),
    ],
)
def test_file_names_are_decoded_from_all_that_programs_write(header: bytes, name: str) -> None:
    _, root = parsed(header + b"\n\nx")
    assert mail_headers.file_name(root.headers) == name


def test_a_header_cannot_smuggle_another_one_in() -> None:
    _, root = parsed(b"Subject: =?utf-8?q?a=0D=0AFrom:_evil@x?=\nFrom: Anna <a@x.org>\n\nx")
    assert mail_headers.sender_of(root.headers) == ("Anna", "a@x.org")
    assert mail_headers.header_text(root.headers, "subject") == "a From: evil@x"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b'"Schmidt, Anna" <anna@x.org>', "Schmidt, Anna"),
        (b"=?utf-8?q?Schmidt=2C_Anna?= <anna@x.org>", "Schmidt, Anna"),
        (b"anna@x.org (Anna)", "Anna"),
        (b"anna@x.org", "anna@x.org"),
        (b"(" * 7000, "(" * 199 + "…"),
        (b"=?utf-8?B?====?= <a@b>", "a@b"),
        (b"", ""),
    ],
)
def test_a_sender_has_a_name_to_show(value: bytes, name: str) -> None:
    _, root = parsed(b"From: " + value + b"\n\nx")
    assert mail_headers.sender_of(root.headers).name == name


@pytest.mark.parametrize(
    "raw", ["", "Mon, 99 Foo 99999999999 99:99:99 +99999999", "1 Jan 1601 00:00", "x" * 100_000, "1 Jan 20250 10:00"]
)
def test_a_date_that_is_none_is_left_out(raw: str) -> None:
    assert mail_headers.date_of(raw) is None


def test_an_attachment_over_the_limit_is_refused_before_it_is_decoded() -> None:
    stream, root = parsed(b"Content-Transfer-Encoding: base64\n\n" + b"QUJD" * 1000)
    with pytest.raises(TooLarge, match="limit"):
        open_body(stream, root, 1000)
    assert open_body(stream, root, 4000).read() == b"ABC" * 1000


@settings(max_examples=150, deadline=None)
@given(
    content=st.lists(
        st.sampled_from([b"--b", b"--b--", b"--c", b"\n", b"\r\n", MIXED, MIXED.replace(b'"b"', b"c"), b"x"])
    )
)
def test_any_order_of_boundaries_gives_parts_inside_the_message(content: list[bytes]) -> None:
    message = MIXED + b"\n".join(content)
    stream, root = parsed(message)
    for part in root.leaves():
        assert 0 <= part.begin <= len(message)
        assert part.end <= len(message)
        text_of(stream, part, 1000)


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=400).map(lambda each: each.replace(b"\r", b"\n")), at=st.integers(0, 50))
def test_lines_are_found_as_by_splitting(content: bytes, at: int) -> None:
    content = content + b"\n--x\n--" + b"y" * at + b"\n--"
    found = [(offset, line) for offset, line in lines_beginning(io.BytesIO(content), b"--", 0, len(content), 10)]
    expected, offset = [], 0
    for line in content.split(b"\n"):
        if line.startswith(b"--"):
            expected.append((offset, line[:10]))
        offset += len(line) + 1
    assert found == expected


def test_a_window_shows_its_stretch_only() -> None:
    outer = io.BytesIO(b"0123456789")
    first, second = open_window(outer, 2, 6), open_window(outer, 6, 10)
    assert (first.read(2), second.read(2), first.read(), second.read()) == (b"23", b"67", b"45", b"89")
    assert (first.seek(-1, io.SEEK_END), first.read(), first.seek(100), first.read()) == (3, b"5", 100, b"")
    first.close()
    assert not outer.closed
