"""The two themes: a warm dark one for the evening, a paper-like light one. Plain values.

`tests/app/test_tui_themes.py` holds every text colour to a contrast of 4.5:1 on what it stands on.
"""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="homebody-dark",
    primary="#d9a566",
    secondary="#8fb996",
    accent="#86b8d4",
    warning="#e59a72",
    error="#ec7f86",
    success="#8fb996",
    foreground="#e8e2d6",
    background="#1b1a18",
    surface="#232120",
    panel="#2d2a27",
    dark=True,
    variables={
        "text-muted": "#a39b8e",
        "text-accent": "#86b8d4",
        "text-primary": "#d9a566",
        "text-warning": "#e59a72",
        "text-error": "#ec7f86",
        "text-success": "#8fb996",
        "border": "#d9a566",
        "border-blurred": "#45403a",
        "block-cursor-background": "#45403a",
        "block-cursor-foreground": "#f4eee2",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#2d2a27",
        "input-selection-background": "#d9a566 35%",
        "footer-background": "#1b1a18",
        "footer-key-foreground": "#d9a566",
        "footer-description-foreground": "#a39b8e",
        "scrollbar": "#45403a",
        "scrollbar-background": "#1b1a18",
        "scrollbar-hover": "#5a534b",
        "scrollbar-active": "#d9a566",
    },
)

LIGHT = Theme(
    name="homebody-light",
    primary="#8a5210",
    secondary="#3c6b45",
    accent="#1c6384",
    warning="#a0401c",
    error="#b0262b",
    success="#3c6b45",
    foreground="#2b2722",
    background="#fbf8f3",
    surface="#f4efe6",
    panel="#ebe4d8",
    dark=False,
    variables={
        "text-muted": "#6a6257",
        "text-accent": "#1c6384",
        "text-primary": "#8a5210",
        "text-warning": "#a0401c",
        "text-error": "#b0262b",
        "text-success": "#3c6b45",
        "border": "#8a5210",
        "border-blurred": "#d3c9ba",
        "block-cursor-background": "#e2d6c3",
        "block-cursor-foreground": "#2b2722",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#ebe4d8",
        "input-selection-background": "#8a5210 25%",
        "footer-background": "#fbf8f3",
        "footer-key-foreground": "#8a5210",
        "footer-description-foreground": "#6a6257",
        "scrollbar": "#d3c9ba",
        "scrollbar-background": "#fbf8f3",
        "scrollbar-hover": "#bfb3a1",
        "scrollbar-active": "#8a5210",
    },
)

THEMES = (DARK, LIGHT)
