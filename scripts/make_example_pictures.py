"""Make the receipt of `examples/library`: drawn, then made to look as a phone's camera would have it.

    python scripts/make_example_pictures.py

The same picture every time. Knows nothing of the library.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TARGET = Path(__file__).resolve().parent.parent / "examples" / "library" / "house" / "receipt-hardware-store.jpg"
WIDTH_PX, HEIGHT_PX = 620, 900
PAPER, INK, TABLE = (244, 242, 234), (40, 40, 48), (112, 84, 58)
LINES = (
    ("MILLER & SONS", ""),
    ("Hardware store, 12 Mill Lane", ""),
    ("", ""),
    ("14 March 2025", "11:42"),
    ("", ""),
    ("Radiator key", "3.20"),
    ("Radiator valve 1/2 inch", "18.90"),
    ("Sealing tape 12 m", "2.49"),
    ("Paint, white, 2.5 l", "27.95"),
    ("Brush 50 mm", "6.80"),
    ("", ""),
    ("TOTAL EUR", "59.34"),
    ("Paid by card", "59.34"),
    ("", ""),
    ("Returns within 30 days", ""),
    ("Receipt no. 2025-031477", ""),
)


def main() -> None:
    sheet = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=27)
    for number, (left, right) in enumerate(LINES):
        y = 60 + number * 50
        pen.text((50, y), left, fill=INK, font=font)
        pen.text((WIDTH_PX - 50 - pen.textlength(right, font=font), y), right, fill=INK, font=font)
    table = Image.new("RGB", (WIDTH_PX + 160, HEIGHT_PX + 160), TABLE)
    turned = sheet.convert("RGBA").rotate(1.6, Image.Resampling.BICUBIC, expand=True)
    table.paste(turned, (70, 60), turned)
    pixels = np.asarray(table).astype(np.float32)
    light = np.linspace(1.0, 0.82, pixels.shape[1])[None, :, None]
    noise = np.random.default_rng(3).normal(0, 6, pixels.shape[:2])[..., None]
    photo = Image.fromarray((pixels * light + noise).clip(0, 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0110] = "homebody's example camera"
    exif.get_ifd(0x8769).update({0x9003: "2025:03:14 11:45:10", 0x9011: "+01:00"})
    photo.save(TARGET, "JPEG", quality=72, exif=exif)
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
