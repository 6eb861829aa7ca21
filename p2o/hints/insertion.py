"""Template insertion, T(x, z) of the paper, and what can be a template."""

LONGEST = 10_000
"""Characters of a template; an answer that is longer has run away."""


def insert_template(text: str, template: str) -> str:
    """Put a template in front of a user's text: stripped template, blank line, text.

    The empty template (or one of white space only) is the identity.

    Example::

        >>> print(insert_template("What is 2 + 2?", " Think step by step. "))
        Think step by step.
        <BLANKLINE>
        What is 2 + 2?
    """
    template = template.strip()
    return f"{template}\n\n{text}" if template else text


def read_template(written: str | None) -> str | None:
    """What a reflection wrote, stripped; None when it can be no template.

    That is when it is empty, longer than `LONGEST`, or no text that can be encoded.

    Example::

        >>> [read_template(text) for text in (" Go slowly. ", "  ", "x" * 20_000, None)]
        ['Go slowly.', None, None, None]
    """
    template = (written or "").strip()
    # Half of a surrogate pair, which JSON can spell, is no character; tokenizers raise.
    if any("\ud800" <= character <= "\udfff" for character in template):
        return None
    return template if 0 < len(template) <= LONGEST else None
