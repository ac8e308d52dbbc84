"""E-mail (EML, the messages of a mailbox, Maildir files): headers, the text that was meant, attachments.

Of a text and an HTML version the text is taken if it says the same; "open this in a browser" does not. What is
attached becomes files inside this one, attached mails too. Small pictures that the HTML shows in place (logos,
counting pixels) are left out. A signature is not checked and encrypted text not read: both are said. Nothing is
fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from rag.errors import EmptyFile
from rag.readers import mail_headers
from rag.readers.contract import MEGABYTE, Member, OpenedFile, Reading, ReadLimits
from rag.readers.html import html_as_text
from rag.readers.mail_blocks import Mail, mail_blocks
from rag.readers.mail_text import best_version, unflow
from rag.readers.mime_parts import MAX_PARTS, Part, find_parts, open_body, read_header, text_of

MAX_TEXT_BYTES = 16 * MEGABYTE
"""Of one text part; the rest of a longer one is not read."""
MAX_TEXT_PARTS = 200
APPLE_LENGTH_CHARS = 20
MAX_DECORATION_BYTES = 30_000
"""A picture that the HTML shows in place, up to this size, is a logo."""

_SHOWN = frozenset({"text/plain", "text/html", "text/enriched", "text/richtext", "message/delivery-status"})
_SIGNATURES = frozenset({"application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"})
_SMIME = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_ENRICHED_MARK = re.compile(r"<<|</?[A-Za-z][A-Za-z-]{0,20}>")
_EXTENSIONS = {
    "message/rfc822": ".eml",
    "message/global": ".eml",
    "text/calendar": ".ics",
    "text/vcard": ".vcf",
    "text/x-vcard": ".vcf",
    "text/plain": ".txt",
    "text/html": ".html",
    "text/csv": ".csv",
    "text/rtf": ".rtf",
    "application/rtf": ".rtf",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/gif": ".gif",
}
_PGP = "-----BEGIN PGP MESSAGE-----"
_PGP_SIGNED = "-----BEGIN PGP SIGNED MESSAGE-----"
_PGP_SIGNED_HEAD = re.compile(r"-----BEGIN PGP SIGNED MESSAGE-----\n(?:\w[\w-]*: .*\n)*")
_PGP_SIGNATURE = re.compile(r"^-----BEGIN PGP SIGNATURE-----\n[^-]*-----END PGP SIGNATURE-----", re.MULTILINE)


def read_eml(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises EmptyFile for a mail of which nothing can be said."""
    begin, end = 0, file.size_bytes
    first = file.stream.readline(APPLE_LENGTH_CHARS)
    if first.strip().isdigit():  # Apple Mail: the message's length, the message, what the program knows of it
        begin = len(first)
        end = min(end, begin + int(first))
    return read_message(file.stream, begin, end, file.name, limits)


def read_message(stream: BinaryIO, begin: int, end: int, name: str, limits: ReadLimits) -> Reading:
    """The message between two offsets of a stream."""
    root = find_parts(stream, begin, end)
    message = _Message(stream)
    message.take(root)
    mail = _mail_of(root, message)
    blocks = list(mail_blocks(mail))
    if not blocks and not message.attached:
        raise EmptyFile(f"{name} has neither headers nor text", hint="there is nothing in it to find")
    return Reading(
        iter(blocks),
        mail.subject,
        mail.sender,
        mail.sent_at.timestamp() if mail.sent_at is not None else None,
        notes=message.notes,
        members=_members(stream, message.attached, limits),
    )


def _mail_of(root: Part, message: _Message) -> Mail:
    headers = root.headers
    sender = mail_headers.sender_of(headers)
    return Mail(
        subject=mail_headers.header_text(headers, "subject"),
        sender=sender.name,
        sender_line=mail_headers.header_text(headers, "from"),
        to=mail_headers.header_text(headers, "to"),
        cc=mail_headers.header_text(headers, "cc"),
        date_line=mail_headers.header_text(headers, "date")[: mail_headers.MAX_NAME_CHARS],
        sent_at=mail_headers.sent_at(headers),
        text="\n\n".join(text for text in message.texts if text.strip()),
        remarks=list(dict.fromkeys(message.remarks)),
        attachments=[each for part in message.attached if (each := _file_name(part)) and not _is_decoration(part)],
    )


class _Message:
    """Sorts the parts of one message into what is shown and what is attached."""

    def __init__(self, stream: BinaryIO) -> None:
        self.texts: list[str] = []
        self.attached: list[Part] = []
        self.remarks: list[str] = []
        self.notes: list[str] = []
        self._stream = stream
        self._text_parts = 0

    def take(self, part: Part) -> None:
        """A part at any depth; find_parts limits it."""
        if part.is_too_deep:
            self.notes.append("its parts are nested too deep; the innermost were not read")
        elif part.kind == "multipart/encrypted":
            self._encrypted("OpenPGP" if "pgp" in _protocol(part) else "unknown")
        elif part.kind == "multipart/alternative" and part.children:
            self._take_alternative(part)
        elif part.children:
            if part.kind == "multipart/signed":
                self.remarks.append(f"Signed ({'S/MIME' if 'pkcs7' in _protocol(part) else 'OpenPGP'}, not checked)")
            for child in part.children:
                self.take(child)
        elif part.kind in _SMIME:
            self._take_smime(part)
        elif part.kind in _SIGNATURES:
            return
        elif _is_shown(part):
            self._take_text(part)
        else:
            self.attached.append(part)

    def _take_alternative(self, part: Part) -> None:
        """Versions of the same. What is in a version besides its text (pictures, a calendar entry) is kept."""
        versions: dict[str, str] = {}
        for child in part.children:
            version = _Message(self._stream)
            version._text_parts = self._text_parts
            version.take(child)
            self._text_parts = version._text_parts
            text = "\n\n".join(version.texts)
            if text.strip():
                kind = next((leaf.kind for leaf in child.leaves() if leaf.kind in _SHOWN), "text/plain")
                versions[kind] = text
            self.attached.extend(version.attached)
            self.remarks.extend(version.remarks)
            self.notes.extend(version.notes)
        if versions:
            plain = next((text for kind, text in versions.items() if kind != "text/html"), "")
            self.texts.append(best_version(plain, versions.get("text/html", "")))

    def _take_text(self, part: Part) -> None:
        self._text_parts += 1
        if self._text_parts > MAX_TEXT_PARTS:
            return
        text = text_of(self._stream, part, MAX_TEXT_BYTES)
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        if part.size_bytes > MAX_TEXT_BYTES:
            self.notes.append(f"its text is longer than {MAX_TEXT_BYTES / MEGABYTE:,.0f} MB; the rest is not read")
        if part.kind == "text/html":
            text = html_as_text(text)
        elif part.kind in ("text/enriched", "text/richtext"):
            text = _ENRICHED_MARK.sub(lambda mark: "<" if mark[0] == "<<" else "", text)
        elif mail_headers.parameter(part.headers, "content-type", "format").lower() == "flowed":
            delete_space = mail_headers.parameter(part.headers, "content-type", "delsp").lower() == "yes"
            text = unflow(text, delete_space=delete_space)
        if _PGP in text:
            self._encrypted("OpenPGP")
            text = text[: text.index(_PGP)]
        if _PGP_SIGNED in text:
            self.remarks.append("Signed (OpenPGP, not checked)")
            text = _PGP_SIGNATURE.sub("", _PGP_SIGNED_HEAD.sub("", text))
        self.texts.append(text)

    def _take_smime(self, part: Part) -> None:
        if mail_headers.parameter(part.headers, "content-type", "smime-type").lower() == "signed-data":
            self.remarks.append("Signed (S/MIME, not checked); its text is inside the signature and not read")
            self.notes.append("its text is inside an S/MIME signature and was not read")
        else:
            self._encrypted("S/MIME")

    def _encrypted(self, how: str) -> None:
        self.remarks.append(f"Encrypted ({how}): only its headers can be read")
        self.notes.append(f"it is encrypted ({how}): only its headers were read")


def _protocol(part: Part) -> str:
    return mail_headers.parameter(part.headers, "content-type", "protocol").lower()


def _is_shown(part: Part) -> bool:
    if part.kind.startswith("multipart/"):
        return True  # no part in it was found: whatever it is, it is text
    if part.kind not in _SHOWN:
        return False
    disposition = mail_headers.header_text(part.headers, "content-disposition").partition(";")[0].strip().lower()
    return disposition != "attachment" and not (part.kind != "text/html" and mail_headers.file_name(part.headers))


def _members(stream: BinaryIO, parts: list[Part], limits: ReadLimits) -> Iterator[Member]:
    for ordinal, part in enumerate(parts[:MAX_PARTS], start=1):
        if _is_decoration(part):
            continue
        changed_at = mail_headers.date_of(
            mail_headers.parameter(part.headers, "content-disposition", "modification-date")
        )
        yield Member(
            _member_name(stream, part, ordinal),
            partial(open_body, stream, part, limits.max_file_bytes),
            part.size_bytes,
            int(changed_at.timestamp() * 1e9) if changed_at is not None else 0,
        )


def _is_decoration(part: Part) -> bool:
    return (
        part.kind.startswith("image/")
        and bool(part.headers.get("content-id"))
        and part.size_bytes <= MAX_DECORATION_BYTES
        and not mail_headers.header_text(part.headers, "content-disposition").lower().startswith("attachment")
    )


def _file_name(part: Part) -> str:
    """As the part says, without folders."""
    return mail_headers.file_name(part.headers).replace("\\", "/").rpartition("/")[2].strip()


def _member_name(stream: BinaryIO, part: Part, ordinal: int) -> str:
    """As the part says, in one piece; of an attached mail its subject. Cleaned by who takes it."""
    extension = _EXTENSIONS.get(part.kind, "")
    name = _file_name(part)
    if not name and part.kind in ("message/rfc822", "message/global"):
        name = mail_headers.header_text(read_header(stream, part.begin, part.end)[0], "subject")
        name = name.replace("/", "-").replace("\\", "-")[:100].strip()
    if not name.strip("."):
        return f"part {ordinal}{extension}"
    if part.kind in ("message/rfc822", "message/global") and not name.lower().endswith(".eml"):
        return f"{name}.eml"
    return name if "." in name else f"{name}{extension}"
