r"""Numbers in digits, as people write them, and their values."""

import re
from decimal import Context, Decimal
from fractions import Fraction

# Exact, so that long integers that differ in their last digit do; bounded, so that no exponent
# fills the memory: what is beyond all floats is infinite, or too small for a number.
BOUNDED = Context(prec=800, Emax=308, Emin=-324, traps=[])
SCALES = {
    **{"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9},
    **{"trillion": 10**12, "lakh": 10**5, "crore": 10**7, "k": 10**3, "mn": 10**6, "bn": 10**9},
    **{"十": 10, "百": 100, "千": 10**3, "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8},
    **{"tenth": Fraction(1, 10), "hundredth": Fraction(1, 100), "thousandth": Fraction(1, 1000)},
}
# Words in any case; a K apart from the number is one of kelvin.
SCALE = "|".join(
    f"(?i:{word})" if len(word) > 1 else word for word in sorted(SCALES, key=len)[::-1]
)
CURRENCY = "$€£¥₹"
NUMBER = re.compile(
    rf"""
    (?<![a-zA-Z\d_.]) (?<!\d['/:])             # not the tail of a word or of another number
    (?:(?P<sign>[-+])\s*)? (?:[{CURRENCY}]\s*)? (?:(?P<late>-)\s*)?
    (?:(?P<whole>\d++)(?:\s+|\s+and\s+|-)(?=\d+\s*/\s*\d))?    # the 1 of 1 3/4
    (?P<value>
        \d{{1,3}}(?:,\d{{3}})++(?!\d)(?:\.\d++)?    # 1,234.5
      | \d{{1,3}}(?:\ \d{{3}})++(?!\d)(?:[.,]\d++)?   # 1 234.5, 1 234,5
      | \d{{1,3}}(?:'\d{{3}})++(?!\d)(?:\.\d++)?    # 1'234.5
      | \d{{1,3}}(?:\.\d{{3}})++,\d++               # 1.234,5
      | \d++(?:[.,]\d++)? | \.\d++                  # 12, 12.5, 12,5, .5
    ) (?:\.(?!\d))?+
    (?:
        (?:[eE]|\s*[×x*]\s*10\s*\^\s*\{{?)
        (?P<exponent>[-+]?\d++)\}}?                 # 1e3, 1 × 10^3
      | \s*\^\s*\{{?(?P<power>[-+]?\d++)\}}?        # 10^3
    )?
    (?:\s*/\s*(?P<denominator>\d{{1,3}}(?:,\d{{3}})++(?!\d)|\d++(?:\.\d++)?))?    # 3/4
    (?P<scales>(?:[\s-]?(?:{SCALE}|(?<=\d)K)(?:s\b|(?![a-zA-Z])))*+)
    (?P<percent>\s*(?:%|per\s?cent\b|pct\b))?
    """,
    re.VERBOSE,
)


def value_of(match: re.Match[str], percent_as_hundredth: bool) -> Fraction | None:
    """The value of a match of `NUMBER`; None when it is too large or too small."""
    digits = re.sub(r"[ ']", "", match["value"])
    if digits.count(",") == 1 and not re.fullmatch(r"\d{1,3},\d{3}(?:\.\d+)?", digits):
        digits = digits.replace(".", "").replace(",", ".")
    value = _exact(f"{digits.replace(',', '')}e{match['exponent'] or 0}")
    denominator = _exact((match["denominator"] or "1").replace(",", ""))
    if value is not None and match["power"]:
        base = BOUNDED.create_decimal(digits.replace(",", ""))
        value = _bounded(BOUNDED.power(base, int(match["power"])), not base)
    if value is None or not denominator:
        return None
    value = value / denominator + int(match["whole"] or 0)
    for scale in re.findall(f"{SCALE}|K", match["scales"]):
        value *= SCALES[scale.lower()]
    if percent_as_hundredth and match["percent"]:
        value /= 100
    return -value if "-" in (match["sign"], match["late"]) else value


def _exact(text: str) -> Fraction | None:
    mantissa, _, _ = text.partition("e")
    return _bounded(BOUNDED.create_decimal(text), not re.search("[1-9]", mantissa))


def _bounded(number: Decimal, may_vanish: bool) -> Fraction | None:
    """A number within bounds as a fraction; 0 is one where nothing has vanished into it."""
    vanished = number.is_subnormal(BOUNDED) or (number.is_zero() and not may_vanish)
    return None if vanished or not number.is_finite() else Fraction(number)
