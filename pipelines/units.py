"""Units of measure as people write them, and which of them measure the same. Pure."""

from __future__ import annotations

from decimal import Decimal

from pipelines.words import fold

_NAMES = """
euro € eur euros
dollar $ usd us$ dollars
pound £ gbp pounds
franc chf francs
cent cents
percent % percentage per-cent prozent
kilogram kg kilo kilos kilograms kilogramm
gram g grams gramm gramme
milligram mg milligrams
microgram µg mcg micrograms
ounce oz ounces
ton t tons tonne tonnes
kilometre km kilometer kilometers kilometres
metre m meter meters metres
centimetre cm centimeter centimeters centimetres
millimetre mm millimeter millimeters millimetres
mile miles mi
inch inches
foot ft feet
yard yd yards
litre l liter liters litres
millilitre ml milliliter milliliters millilitres
second s sec secs seconds sekunde sekunden
minute min mins minutes minuten
hour h hr hrs hours stunde stunden
day d days tag tage tagen
week weeks woche wochen
month months monat monate monaten
year years yr yrs jahr jahre jahren
degree ° degrees °c °f grad
kilowatt kw kilowatts
kilowatt-hour kwh
watt w watts
volt v volts
bar bars
ampere amp amps amperes
hertz hz
kilohertz khz
megahertz mhz
gigahertz ghz
decibel db decibels
rpm
joule j joules
kilojoule kj
pixel px pixels
kilobyte kb
megabyte mb
gigabyte gb
terabyte tb
"""
UNITS = {fold(form): line.split()[0] for line in _NAMES.strip().splitlines() for form in line.split()}
"""The canonical name (`euro`, `percent`, `hour`) of each written form."""

_IN_BASE = {
    unit: (base, Decimal(factor))
    for base, sizes in {
        "second": "second 1 minute 60 hour 3600 day 86400 week 604800",
        "month": "month 1 year 12",
        "gram": "microgram 0.000001 milligram 0.001 gram 1 kilogram 1000 ton 1000000",
        "metre": "millimetre 0.001 centimetre 0.01 metre 1 kilometre 1000",
        "litre": "millilitre 0.001 litre 1",
        "watt": "watt 1 kilowatt 1000",
        "hertz": "hertz 1 kilohertz 1000 megahertz 1000000 gigahertz 1000000000",
        "joule": "joule 1 kilojoule 1000",
    }.items()
    for unit, factor in zip(sizes.split()[::2], sizes.split()[1::2], strict=True)
}
_HUNDREDFOLD = frozenset({"euro", "dollar"})
"""Of what a cent is a hundredth."""


def in_unit_of(value: Decimal, unit: str, other: str) -> Decimal | None:
    """The value in the other unit; None where the two do not measure the same."""
    if unit == other:
        return value
    if unit == "cent" and other in _HUNDREDFOLD:
        return value / 100
    if other == "cent" and unit in _HUNDREDFOLD:
        return value * 100
    base, factor = _IN_BASE.get(unit, ("", Decimal(1)))
    other_base, other_factor = _IN_BASE.get(other, ("", Decimal(1)))
    return value * factor / other_factor if base and base == other_base else None
