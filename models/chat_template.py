"""A model's chat template: which text goes before, between and behind the messages.

Messages are rendered as placeholders, never as their text: what comes out is the template's own pieces and the
places where contents belong. So the caller can read control tokens in the pieces and none in the contents, and
a document cannot make the template do anything. Knows nothing of tokens.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from models.chat import Role
from models.errors import EngineFailed, WeightsDamaged
from models.template_sandbox import BoundedTemplate, TemplateRefused, TemplateTooCostly

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""For a model without a template. The format of Qwen, SmolLM and many others."""

ContentStyle = Literal["text", "parts"]


@dataclass(frozen=True, slots=True)
class ContentPlace:
    """Where the content of one message goes."""

    message: int
    """Its index in the sequence of roles that was rendered."""


class ChatTemplate:
    """One template, with what was found out about it by rendering probes."""

    def __init__(self, source: str, *, bos_text: str = "", eos_text: str = "", thinking: bool = False) -> None:
        """Raises WeightsDamaged where the template is not valid or does not stay within its limits."""
        self.source = source
        self._special_texts = {"bos_token": bos_text, "eos_token": eos_text}
        self._thinking = thinking
        # Fixed width, so that none is the beginning of another; random, so that no template can name one.
        self._placeholder = f"HBCONTENT{secrets.token_hex(8)}N"
        self._find_places = re.compile(re.escape(self._placeholder) + r"(\d{6})")
        try:
            self._template = BoundedTemplate(source)
            self._style = self._probe_content_style()
        except TemplateRefused as error:
            raise WeightsDamaged(f"the model's chat template cannot be used: {error}", hint=_OTHER_MODEL) from error
        self.takes_system_role = self._probe_system_role()
        """Whether a system message is shown to the model; otherwise it goes before the first user message."""
        self.trimmed_roles = self._probe_trimming()
        """Roles whose content the template strips of white space at both ends."""

    def pieces(self, roles: Sequence[Role]) -> list[str | ContentPlace]:
        """The template's text and the places for contents, in order, ending where the answer begins.

        Raises EngineFailed where the template refuses this order of roles.
        """
        try:
            return self._render(roles, self._style)
        except TemplateTooCostly as error:
            raise WeightsDamaged(f"the model's chat template does not end: {error}", hint=_OTHER_MODEL) from error
        except TemplateRefused as error:
            raise EngineFailed(
                f"the model's chat template refuses this conversation: {error}", hint="start a new conversation"
            ) from error

    def _render(self, roles: Sequence[Role], style: ContentStyle, *, around: str = "") -> list[str | ContentPlace]:
        messages = [
            {"role": role, "content": _content(f"{around}{self._placeholder}{index:06d}{around}", style)}
            for index, role in enumerate(roles)
        ]
        rendered = self._template.render(
            {
                "messages": messages,
                "add_generation_prompt": True,
                "enable_thinking": self._thinking,
                "tools": None,
                "documents": None,
                **self._special_texts,
            }
        )
        pieces: list[str | ContentPlace] = []
        for index, part in enumerate(self._find_places.split(rendered)):
            if index % 2:
                pieces.append(ContentPlace(int(part)))
            elif part:
                pieces.append(part)
        places = [piece.message for piece in pieces if isinstance(piece, ContentPlace)]
        if places != list(range(len(roles))):
            raise TemplateRefused("it leaves out, repeats or reorders messages")
        return pieces

    def _probe_content_style(self) -> ContentStyle:
        """Some templates of models that see pictures read contents only as a list of parts."""
        try:
            self._render(("user",), "text")
        except TemplateTooCostly:
            raise
        except TemplateRefused:
            self._render(("user",), "parts")
            return "parts"
        return "text"

    def _probe_system_role(self) -> bool:
        try:
            self._render(("system", "user"), self._style)
        except TemplateRefused:
            return False
        return True

    def _probe_trimming(self) -> frozenset[Role]:
        around = "\n \n"
        roles: tuple[Role, ...] = ("system", "user", "assistant", "user")
        if not self.takes_system_role:
            roles = roles[1:]
        try:
            pieces = self._render(roles, self._style, around=around)
        except TemplateRefused:
            return frozenset()
        trimmed: set[Role] = set()
        for before, piece in zip(["", *pieces], pieces, strict=False):
            if isinstance(piece, ContentPlace) and not (isinstance(before, str) and before.endswith(around)):
                trimmed.add(roles[piece.message])
        return frozenset(trimmed)


def _content(text: str, style: ContentStyle) -> object:
    return text if style == "text" else [{"type": "text", "text": text}]


_OTHER_MODEL = "choose another model, or another file of this one"
