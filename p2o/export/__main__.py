"""``python -m p2o.export``."""

from p2o.export.command import main

main()
