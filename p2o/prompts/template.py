"""Template insertion, T(x, z) of the paper."""


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
