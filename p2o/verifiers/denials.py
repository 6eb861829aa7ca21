"""Words by which a text denies what follows them, or only tries it out."""

import re

from p2o.verifiers.choice_words import NAMING, SUPPOSING

NEGATION = r"(?:\b(?:no\s+longer|not|never|cannot|neither|nor)\b|n't\b)"
"""A denial in English. No word begins at the end of "isn't", so that is no word of its own."""
_CARRYING = """
be been being is are was were it that this the a an to equal equals have give think believe say
claim mean exactly just simply really even possibly necessarily ever actually true right correct
sure certain case final answer answers solution result value
"""
CARRYING = rf"(?:(?:{'|'.join(_CARRYING.split())})\s+)"
"""Words through which a denial reaches on."""
_FOREIGN = (
    r"\bpas\s+|\bno\s+(?:es|son|era)\s+|\bnicht\s+|\bkeine?\s+|\bnon\s+[eè]\s+|\bnão\s+(?:é|são)\s+|\bне\s+"
    r"|(?:不(?:会|可能|应该?|能)?(?:是|为|等于)|[并絕绝](?:非|不是?)|不(?:超过|大于|小于|到))\s*"
)
DENIED = re.compile(
    rf"(?:{NEGATION}\s+{CARRYING}{{0,6}}|{_FOREIGN}"
    r"|\b(?:anything|nothing|everything|all)\s+but\s+)[\s$({*]*$",
    re.IGNORECASE,
)
"""The end of a text that denies what stands behind it."""
_MISTAKEN = "wrong|incorrect|false|mistaken|untrue|nonsensical"
TRIED = re.compile(
    rf"\b(?:{'|'.join(sorted(SUPPOSING))}|{_MISTAKEN}|doubt)\s+(?:(?:{'|'.join(sorted(NAMING))})\s+){{0,3}}$",
    re.IGNORECASE,
)
"""What stands before "answer" where it is supposed or called wrong."""


def is_denied_before(head: str) -> bool:
    """Whether a text ends with a denial of what stands behind it."""
    return bool(DENIED.search(head))


def is_unreal_before(head: str) -> bool:
    """Whether "answer is" behind a text says what the answer is not, or what it may be."""
    return is_denied_before(head) or bool(TRIED.search(head))
