"""Every key homebody listens to: one registry, from which bindings, footer, palette and help are made.

Knows nothing of screens beyond their names; an action's method lives on the screen (or the app) it names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding

Place = Literal["everywhere", "conversation", "composer", "source", "picture", "search", "history", "library", "panel"]
"""Where a key works. `composer` keys are handled by the composer itself and listed for help only."""

PLACE_TITLES: dict[Place, str] = {
    "everywhere": "Everywhere",
    "conversation": "In the conversation",
    "composer": "While you write",
    "source": "In a source",
    "picture": "In a picture",
    "search": "In a search",
    "history": "In the conversations",
    "library": "In the library",
    "panel": "In help and engines",
}


@dataclass(frozen=True, slots=True)
class KeyAction:
    place: Place
    keys: str
    """As Textual names them, several separated by commas; the first is shown."""
    action: str
    label: str
    """One or two words, for the footer."""
    help: str
    """A sentence, for the help screen and the palette."""
    in_footer: bool = False
    in_palette: bool = False
    priority: bool = False
    """Heard before the widget that has the focus."""


KEYS: tuple[KeyAction, ...] = (
    KeyAction("conversation", "escape", "stop", "Stop", "Stop the answer that is being written", in_footer=True),
    KeyAction(
        "conversation",
        "ctrl+n",
        "new_conversation",
        "New",
        "Start a new conversation",
        in_footer=True,
        in_palette=True,
        priority=True,
    ),
    KeyAction(
        "conversation",
        "ctrl+o",
        "sources",
        "Sources",
        "Open the sources of the latest answer",
        in_footer=True,
        in_palette=True,
        priority=True,
    ),
    KeyAction(
        "conversation",
        "ctrl+y",
        "copy_answer",
        "Copy",
        "Copy the latest answer with its sources",
        in_palette=True,
        priority=True,
    ),
    KeyAction(
        "conversation",
        "ctrl+r",
        "ask_again",
        "Ask again",
        "Ask the latest question once more",
        in_palette=True,
        priority=True,
    ),
    KeyAction(
        "conversation",
        "f5",
        "earlier",
        "Earlier",
        "Show the earlier turns of a long conversation",
        in_palette=True,
    ),
    KeyAction("conversation", "ctrl+up", "scroll_up", "Scroll", "Scroll the conversation up (also ctrl+page up)"),
    KeyAction("conversation", "ctrl+down", "scroll_down", "Scroll", "Scroll the conversation down"),
    KeyAction("conversation", "ctrl+pageup", "page_up", "Page up", "Scroll a page up"),
    KeyAction("conversation", "ctrl+pagedown", "page_down", "Page down", "Scroll a page down"),
    KeyAction(
        "conversation",
        "f6",
        "dictate",
        "Dictate",
        "Speak the question: press to begin and to end, or hold; the text can be changed before it is sent",
        in_palette=True,
        priority=True,
    ),
    KeyAction("composer", "enter", "send", "Send", "Send the question"),
    KeyAction("composer", "shift+enter,ctrl+j", "newline", "New line", "Start a new line"),
    KeyAction("composer", "up", "older", "Older", "At the first line: the question you asked before"),
    KeyAction("composer", "down", "newer", "Newer", "At the last line: back towards what you were writing"),
    KeyAction(
        "composer",
        "tab",
        "complete",
        "Complete",
        "Complete the path after an @ or a filter; otherwise go on to the sources",
    ),
    KeyAction("composer", "ctrl+x", "drop_pastes", "Detach", "With nothing selected: take long pasted texts away"),
    KeyAction("everywhere", "f1", "help", "Help", "Show this help", in_footer=True, in_palette=True),
    KeyAction(
        "everywhere",
        "f2",
        "history",
        "History",
        "Find, resume, rename or delete a conversation",
        in_footer=True,
        in_palette=True,
    ),
    KeyAction(
        "everywhere",
        "f3",
        "library",
        "Library",
        "See, add and update the files that homebody knows",
        in_footer=True,
        in_palette=True,
    ),
    KeyAction(
        "everywhere",
        "f4",
        "engines",
        "Engines",
        "See which models run, on what, and why",
        in_palette=True,
    ),
    KeyAction(
        "everywhere",
        "f8",
        "search",
        "Search",
        "List the passages that fit some words, without an answer (also /search WORDS)",
        in_footer=True,
        in_palette=True,
    ),
    KeyAction("everywhere", "f9", "switch_theme", "Theme", "Switch between dark and light", in_palette=True),
    KeyAction("everywhere", "ctrl+p", "command_palette", "Commands", "Find any command by name"),
    KeyAction(
        "everywhere",
        "ctrl+c",
        "interrupt",
        "Interrupt",
        "Copy the selection, else stop the answer; twice: leave",
    ),
    KeyAction("everywhere", "ctrl+q", "quit", "Leave", "Leave homebody", in_palette=True, priority=True),
    KeyAction("source", "escape,q", "close", "Back", "Back to where you came from", in_footer=True),
    KeyAction("source", "n,right", "next", "Next", "The next source", in_footer=True),
    KeyAction("source", "N,left", "previous", "Previous", "The source before", in_footer=True),
    KeyAction("source", "p", "picture", "Picture", "Show a picture or a page of a PDF, or its text", in_footer=True),
    KeyAction(
        "source",
        "o",
        "open",
        "Open",
        "Open the file with your system's program for it, at the place where it can",
        in_footer=True,
    ),
    KeyAction("source", "y", "copy", "Copy", "Copy the passage and where it stands", in_footer=True),
    KeyAction("picture", "plus", "zoom(1)", "Larger", "Show less of the picture, larger", in_footer=True),
    KeyAction("picture", "minus", "zoom(-1)", "Smaller", "Show more of the picture, smaller", in_footer=True),
    KeyAction("picture", "0", "whole", "Whole", "Show all of the picture, or the passage again", in_footer=True),
    KeyAction("picture", "up", "pan(0,-1)", "Up", "Move up on the picture"),
    KeyAction("picture", "down", "pan(0,1)", "Down", "Move down on the picture"),
    KeyAction("picture", "left", "pan(-1,0)", "Left", "Move left on the picture"),
    KeyAction("picture", "right", "pan(1,0)", "Right", "Move right on the picture"),
    KeyAction("search", "escape", "close", "Back", "Back to where you came from", in_footer=True),
    KeyAction("search", "enter", "open", "Open", "Search; on a passage: open it in its surroundings", in_footer=True),
    KeyAction("search", "p", "preview", "Preview", "Show beside the list what a passage looks like, or hide it"),
    KeyAction("search", "slash", "query", "Search", "Write another query", in_footer=True),
    KeyAction("history", "escape", "close", "Back", "Back to the conversation", in_footer=True),
    KeyAction("history", "enter", "resume", "Resume", "Go on with the conversation", in_footer=True),
    KeyAction("history", "r", "rename", "Rename", "Give the conversation another title", in_footer=True),
    KeyAction("history", "d,delete", "delete", "Delete", "Delete the conversation, after asking", in_footer=True),
    KeyAction("history", "slash", "search", "Search", "Search in questions and answers", in_footer=True),
    KeyAction("library", "escape", "close", "Back", "Back to the conversation; indexing goes on", in_footer=True),
    KeyAction("library", "a", "add", "Add", "Add a folder or a file", in_footer=True),
    KeyAction("library", "u", "update", "Update", "Read what is new or changed in all folders", in_footer=True),
    KeyAction("library", "s", "stop", "Stop", "Stop indexing and following; what is done stays", in_footer=True),
    KeyAction("library", "f", "forget", "Forget", "Take a folder out of the library; the files stay", in_footer=True),
    KeyAction("library", "n", "only_failed", "Not read", "Show only files that could not be read, with the reason"),
    KeyAction("library", "p", "preview", "Preview", "Show beside the list what a file looks like, or hide it"),
    KeyAction(
        "library",
        "slash",
        "filter",
        "Filter",
        "List only some files: a part of the path, kind:, in:, after:",
        in_footer=True,
    ),
    KeyAction("panel", "escape,q", "close", "Back", "Back", in_footer=True),
)


def bindings(place: Place) -> list[Binding]:
    """The Textual bindings of a place.

    What works everywhere is shown in the conversation's footer only, so that other screens show their own keys.
    """
    bound = [_binding(each, each.action, shown=each.in_footer and place != "everywhere") for each in of_place(place)]
    if place == "conversation":
        bound += [_binding(each, f"app.{each.action}", shown=True) for each in of_place("everywhere") if each.in_footer]
    return bound


def of_place(place: Place) -> list[KeyAction]:
    return [each for each in KEYS if each.place == place]


def _binding(key: KeyAction, action: str, *, shown: bool) -> Binding:
    display = shown_key(key.keys)
    return Binding(
        key.keys, action, key.label, show=shown, priority=key.priority, key_display=display, tooltip=key.help
    )


_SHOWN = {
    "escape": "esc",
    "slash": "/",
    "plus": "+",
    "minus": "-",
    "pageup": "page up",
    "pagedown": "page down",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
}


def shown_key(keys: str) -> str:
    """The first key as people write it: `ctrl+n`, `esc`, `/`, `F1`."""
    first = keys.split(",")[0]
    if len(first) > 1 and first[0] == "f" and first[1:].isdigit():
        return first.upper()
    return "+".join(_SHOWN.get(part, part) for part in first.split("+"))


def all_shown_keys(keys: str) -> str:
    return ", ".join(shown_key(each) for each in keys.split(","))
