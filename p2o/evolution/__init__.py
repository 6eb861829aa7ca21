"""Template search on the hard set (P²O, Algorithms 3 and 4)."""
