"""Template insertion, T(x, z) of the paper."""


def insert_template(text: str, template: str) -> str:
    """Put a template in front of a user's text: stripped template, blank line, text.

    The empty template (or one of white space only) is the identity.
    """
    template = template.strip()
    return f"{template}\n\n{text}" if template else text
