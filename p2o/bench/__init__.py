"""Arms against each other at equal spending, several seeds each."""
