"""Numbers as people and models write them, by kind; what is no single number gives none."""

from fractions import Fraction
from functools import partial

import pytest

from p2o.verifiers.read_number import read_number
from tests.patience import within

WRITTEN = {
    "scale words": [
        ("3.4 million", 3_400_000),
        ("$2.7M", 2_700_000),
        ("\u20ac4 bn", 4_000_000_000),
        ("7k", 7000),
        ("3 dozen rolls", 36),
        ("6 hundred thousand", 600_000),
        ("2.5-million", 2_500_000),
        ("1/4 million", 250_000),
        ("34\u4e07", 340_000),
        ("2\u4ebf\u5143", 200_000_000),
        ("7 hundredths", Fraction(7, 100)),
    ],
    "units and no scale words": [
        ("7 km", 7),
        ("7 m\u00b2", 7),
        ("7 kilometres", 7),
        ("7 thousandths", Fraction(7, 1000)),
        ("7 millimetres", 7),
        ("Rs. 450", 450),
        ("1850^\\circ C", 1850),
        ("40^{\\circ}", 40),
        ("40\u2103", 40),
        ("40\u00b0", 40),
        ("18 (kittens)", 18),
        ("18 more kittens", 18),
        ("18 wrong answers", 18),
        ("18 more than Tom", 18),
        ("18 times", 18),
        ("18 times as many", 18),
        ("18\u79cd", 18),
        ("\u662f18\u4e2a", 18),
        ("7-letter", 7),
        ("<7>", 7),
        ("7 (a model answer)", 7),
    ],
    "percent": [
        (f"37{sign}", 37) for sign in ("%", " \\%", " percent", " per cent", " pct", "\uff05")
    ],
    "a phrase around the number": [
        ("The final answer is $34$. I hope it is correct.", 34),
        ("the number of ways is 34.", 34),
        ("34, in total, so the farmer earns that much", 34),
        ("34. Let me check: 30 + 4.", 34),
        ("34 (since 30 + 4 = 34)", 34),
        ("34 for the 5 girls", 34),
        ("The 5 girls have 34 pens", 34),
        ("He needs 34 pens because 2 * 17 = 34", 34),
        ("She walks 34 minutes, which is the time of the other 2", 34),
        ("Each gets $34 for 2 weeks", 34),
        ("There are 34 pens for 5 girls", 34),
        ("She needs 34 eggs for 5 cakes", 34),
        ("In 5 hours the train goes 340 km", 340),
        ("The number of 6-letter words is 34", 34),
        ("therefore 34", 34),
        ("It isn't 33 but 34", 34),
        ("34, not 33", 34),
        ("34 \u2014 the number of pens", 34),
    ],
    "equations": [
        ("30 + 4 = 34", 34),
        ("y = 34", 34),
        ("34 = y", 34),
        ("a = b = 34", 34),
        ("34 = 34", 34),
        ("17 * 2 = 34", 34),
        ("They have 30 pens + 4 pens = 34 pens in all.", 34),
        ("The change is $50 - $16 = $34", 34),
        ("Dividing both sides by 2, we get x = 34", 34),
        ("$68 / 2 people = $34/person", 34),
        ("1/3 \u2248 0.333", Fraction(333, 1000)),
        ("\\approx 3.4", Fraction(17, 5)),
    ],
    "digits and fractions of any script": [
        ("\uff13\uff14", 34),
        ("\u0663", 3),
        ("\u00be", Fraction(3, 4)),
        ("3\u00be kg", Fraction(15, 4)),
        ("7\u20448", Fraction(7, 8)),
        ("\\frac34", Fraction(3, 4)),
        ("-3\\frac{1}{4}", Fraction(-13, 4)),
        ("3 and 1/4", Fraction(13, 4)),
    ],
    "signs in a text": [("x, -7", -7), ("The low is -7.", -7), ("In all, \u22127", -7)],
    "signs": [("\u22127", -7), ("\uff0d7", -7), ("- 7", -7), ("+7", 7), ("-$7", -7), ("$-7", -7)],
    "powers": [
        ("10^4", 10_000),
        ("10\u2074", 10_000),
        ("10\u207b\u00b2", Fraction(1, 100)),
        ("2^{9}", 512),
        ("4 \u00d7 10\u2076", 4_000_000),
        ("2e5", 200_000),
    ],
    "separators": [
        ("3 450 600", 3_450_600),
        ("3\u202f450", 3450),
        ("3'450", 3450),
        ("3_450_600", 3_450_600),
        ("3\u2019450", 3450),
        ("3.450,75", Fraction(345_075, 100)),
        ("3450,75", Fraction(345_075, 100)),
        ("\uff13\uff0c\uff14\uff15\uff10", 3450),
        ("34\u3002", 34),
    ],
    "marks": [
        (text, 34)
        for text in ("**34**", "** 34", "`34`", "\\boxed{34}.", "\\(34\\)", "**34**!", "~34")
    ],
    "a sign in words or a long dash": [
        ("minus 7", -7),
        ("negative 7", -7),
        ("minus $7", -7),
        ("\u20147", -7),
        ("-USD 7", -7),
    ],
    "scales in any case": [
        ("7 Million", 7_000_000),
        ("7 MILLION", 7_000_000),
        ("7K", 7000),
        ("7M", 7_000_000),
        ("7 K", 7),
        ("10**4", 10_000),
        ("1 234,5", Fraction(2469, 2)),
    ],
    "expressions that are asked for": [
        ("m + n = 34", 34),
        ("x^2 + y^2 = 34", 34),
        ("f(x) = 34", 34),
        ("\\lim_{x \\to 0} f(x) = 34", 34),
        ("y = 2x = 34", 34),
        ("x + 2 = 36, so x = 34", 34),
        ("x + 2 = 36 => x = 34", 34),
        ("10 * 2 / 3 = 6.67", Fraction(667, 100)),
        ("5 m + 3 m = 8 m", 8),
    ],
    "said twice": [
        ("7, 7", 7),
        ("7 (7.0)", 7),
        ("7; 7", 7),
        ("3/4 or 0.75", Fraction(3, 4)),
        ("34 (or 34.0)", 34),
    ],
}
NO_NUMBER = {
    "a sign that might be lost": ["\\text{-}3", "(-\\infty,-3)", "3,-4", "x-3", "-(3)", "3/-4"],
    "several": ["3 or 4", "3 to 5", "3-5", "3, 4", "(3, 4)", "\\{3, 4\\}", "3 and 4", "x=3, y=4"],
    "a sum without its result": ["3 + 4", "3*4", "3 x 4", "3 \\cdot 4", "3(4)", "12!", "3 - 4"],
    "a false equation": ["3 = 4", "x=3=4", "3 \u2248 4"],
    "an expression": [
        "3x",
        "3\\pi",
        "3\u03c0",
        "3\\sqrt{2}",
        "\\frac{\\sqrt{3}}{2}",
        "\u221a3",
        "x-3",
    ],
    "a remainder": ["3 (mod 7)", "3 mod 7", "3 (modulo 7)"],
    "a function": ["\\log 3", "ln 3", "square root of 3", "|3|", "sin(3)"],
    "a range": ["x > 3", "\u2265 3", "3 or more", "\u00b13", "3 \u00b1 1", "3 if x > 0"],
    "a denial": ["not 3", "x \u2260 3", "\\ne 3", "3 is not a solution"],
    "taken back": [
        *("3 (incorrect)", "3, wrong", "3 is false", "3 not", "anything but 3", "no 3"),
        *("3, no wait, 4", "3, no, sorry, 4", "3?", "$3$?"),
        *("3; 4", "3? 4", "3? No, 4", "3 -> 4", "3 => 4", "3 (or 4)", "3 (4)", "3, then 4"),
    ],
    "bounds": [
        *(">=3", "<=3", "!=3", "=/=3", "\\not= 3", "at most 3", "under 3", "fewer than 3"),
        *(
            "over 3",
            "3 at the least",
            "almost 3",
            "nearly 3",
            "close to 3",
            "3+",
            "5 +/- 1",
            "+/-3",
            "3 and up",
            "3 less than 9",
        ),
    ],
    "in doubt": [
        *("3, if not 4", "3 if not more", "3, maybe 4", "3, perhaps 4", "3, unless it is 4"),
    ],
    "a multiple or a power": [
        *("3 squared", "3 divided by 2", "twice 3", "half of 3", "3 e5", "3 pi", "3 and a half"),
        *(
            "3 halves",
            "3 in base 8",
            "3_8",
            "root 3",
            "3 % 5",
            "3%5",
            "3 %% 5",
            "3 // 5",
            "3 plus 1",
            "3 times 2",
            "3 4",
        ),
    ],
    "an equation for something else": [
        *("2x = 3", "x^2 = 3", "x+1=3", "-x = 3", "1/x = 3", "|x| = 3", "\\sqrt{x} = 3"),
        *("ln x = 3", "x! = 3", "70+3=72", "2*3=7", "3 + .5 = 4"),
    ],
    "times, dates, ratios": ["4:30", "3 : 4", "2023-06-04", "1.2.3", "3 in 4"],
    "more than one unit": ["3 feet 4 inches", "3 hours and 4 minutes", "7 R2", "7 remainder 2"]
    + ["3h 30min", "5'3\"", "5h30", "5\u00b030'"],
}


@pytest.mark.parametrize(
    ("text", "number"), [pair for kind in WRITTEN.values() for pair in kind], ids=str
)
def test_a_number_is_read_as_it_is_meant(text, number):
    assert read_number(text) == number


@pytest.mark.parametrize("text", [text for kind in NO_NUMBER.values() for text in kind])
def test_what_is_no_single_number_is_none(text):
    assert read_number(text) is None


@pytest.mark.parametrize("word", ["72", "72,000", "seven", "-"])
def test_a_long_text_is_cut_between_words(word):
    for length in range(380, 410):
        assert read_number("a " * (length // 2) + " " * (length % 2) + f"is {word}1000") in (
            None,
            read_number(f"{word}1000"),
        )


PIECES = (
    *("1,", "1 ", "1'", "1.", "1/", "1^", "1e", "- ", "-", "is ", "is  1", "the 1 ", "1 and "),
    *(
        "\\frac{1}{",
        "(",
        " (",
        "*",
        "**",
        "= 1",
        "1 million ",
        "hundred",
        "\u00b9",
        "\u00bd",
        "\ufdfa",
    ),
    *("about ", "therefore ", "not 1 ", "1 x 10^", "$", "\\boxed{", "1:", "0"),
)


@pytest.mark.parametrize("piece", PIECES)
def test_no_text_takes_long(piece):
    for text in (piece * 100_000, f"7{piece * 100_000}x"):
        assert within(1.0, partial(read_number, text))
