"""Units of measurement: their names, dimensions and sizes."""

import re
from collections import Counter
from fractions import Fraction

from p2o.verifiers.math_words import singular

METRIC = {"": 1, "k": 10**3, "c": Fraction(1, 100), "m": Fraction(1, 1000)}
LONG_METRIC = {"": 1, "kilo": 10**3, "centi": Fraction(1, 100), "milli": Fraction(1, 1000)}
LARGE = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
LONG_LARGE = {"": 1, "kilo": 10**3, "mega": 10**6, "giga": 10**9}
UNITS: dict[str, tuple[Counter[str], Fraction]] = {}
"""Names of units; each has the powers of its dimensions and its size in the smallest of them."""


def _define(names: str, dimensions: str, size: float | Fraction | str = 1) -> None:
    powers = Counter(dimensions.split())
    UNITS.update({name: (powers, Fraction(size)) for name in names.split()})


for _short, _long in (("m", "meter metre"), ("g", "gram gramme"), ("l L", "liter litre")):
    _size = Fraction(1, 1000) if "L" in _short else Fraction(1)
    _dimension = {"m": "length", "g": "mass"}.get(_short, "length length length")
    for _prefix, _factor in METRIC.items():
        _define(" ".join(_prefix + name for name in _short.split()), _dimension, _size * _factor)
    for _prefix, _factor in LONG_METRIC.items():
        _define(" ".join(_prefix + name for name in _long.split()), _dimension, _size * _factor)
for _name in ("Hz hertz", "W watt", "J joule", "N newton", "Pa pascal", "V volt", "eV", "A ampere"):
    _short, _, _long = _name.partition(" ")
    for _prefix, _factor in LARGE.items():
        _define(_prefix + _short, _short, _factor)
    for _prefix, _factor in LONG_LARGE.items():
        _define(_prefix + (_long or _short), _short, _factor)
for _prefix, _factor in (*LARGE.items(), ("T", 10**12)):
    _define(f"{_prefix}B" if _prefix else "byte", "byte", _factor)
for _names, _dimensions, _value in (
    ("mol mole", "mole", 1),
    ("K kelvin", "K", 1),
    ("kWh", "J", 3_600_000),
    ("rpm", "rotation", 1),
    ("quart qt", "quart", 1),
    ("pint", "pint", 1),
    *((code, code, 1) for code in ("CAD", "AUD", "CHF", "SGD", "HKD", "CNY", "JPY")),
    ("inch in", "length", "0.0254"),
    ("foot feet ft", "length", "0.3048"),
    ("yard yd", "length", "0.9144"),
    ("mile mi", "length", "1609.344"),
    ("second sec s", "time", 1),
    ("minute min", "time", 60),
    ("hour hr h", "time", 3600),
    ("day", "time", 86400),
    ("week", "time", 604800),
    ("month", "month", 1),
    ("year yr", "month", 12),
    ("pound lb", "mass", "453.59237"),
    ("ounce oz", "mass", "28.349523125"),
    ("ton", "ton", 1),
    ("gallon gal", "gallon", 1),
    ("dollar USD usd", "dollar", 1),
    ("cent ¢", "dollar", Fraction(1, 100)),
    ("euro EUR €", "euro", 1),
    ("£ GBP", "sterling", 1),
    ("¥ yuan 元", "yuan", 1),
    ("rupee Rs ₹ INR", "rupee", 1),
    ("degree", "degree", 1),
    ("radian rad", "radian", 1),
    ("unit", "", 1),
    ("kcal", "calorie", 1000),
    ("calorie cal", "calorie", 1),
    ("th st nd rd", "ordinal", 1),
):
    _define(_names, _dimensions, _value)
UNITS |= {
    "mph": (Counter(length=1, time=-1), Fraction("1609.344") / 3600),
    "kmh": (Counter(length=1, time=-1), Fraction(1000, 3600)),
    "kph": (Counter(length=1, time=-1), Fraction(1000, 3600)),
}


def unit(word: str) -> tuple[Counter[str], Fraction] | None:
    """Powers of dimensions and size of a unit by its name or its plural; None for other words."""
    for name in (word, singular(word), singular(word.casefold()), word.removesuffix("s")):
        if name in UNITS and (len(word) > 1 or name == word):
            return UNITS[name]
    return None


def measure(words: tuple[str, ...]) -> tuple[Counter[str], Fraction] | None:
    """Dimensions and size of a unit in words; None when one of them is no unit."""
    powers: Counter[str] = Counter()
    size, sign, times = Fraction(1), 1, 1
    for word in words:
        name, _, exponent = word.partition("^")
        if not re.fullmatch(r"-?\d{0,2}", exponent):
            return None
        if name in ("per", "/"):
            sign = -1
        elif name.casefold() in ("square", "sq"):
            times = 2
        elif name.casefold() in ("cubic", "cu"):
            times = 3
        else:
            known = unit(name)
            if known is None:
                return None
            power = sign * times * int(exponent or 1)
            for dimension, count in known[0].items():
                powers[dimension] += count * power
            size, times = size * known[1] ** power, 1
    return Counter({name: count for name, count in powers.items() if count}), size
