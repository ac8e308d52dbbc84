"""Take the README's picture: the real terminal UI, the installed model, the example library, one real question.

    HOMEBODY_HOME=FOLDER python scripts/take_screenshot.py docs/screenshot.svg

FOLDER is a data folder with weights in which examples/library was indexed.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from anywhere, not installed

from app.__main__ import open_home
from app.homebody_app import HomebodyApp

QUESTION = "How much is the monthly rent, and when must it be paid?"
SIZE = (96, 26)
ANSWER_WITHIN_S = 180.0


async def take(picture: Path) -> None:
    app = HomebodyApp(open_home)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(1.0)
        await pilot.press(*("space" if letter == " " else letter for letter in QUESTION), "enter")
        deadline_s = time.monotonic() + ANSWER_WITHIN_S
        while "first word after" not in app.export_screenshot() and time.monotonic() < deadline_s:
            await pilot.pause(0.5)
        await pilot.pause(1.0)
        picture.parent.mkdir(parents=True, exist_ok=True)
        # Textual's pictures name a font on somebody's server; whoever looks at this one should not fetch it.
        drawn = re.sub(r"@font-face\s*{[^}]*}", "", app.export_screenshot(title="homebody"))
        picture.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1])))
