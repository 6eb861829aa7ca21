"""``python -m p2o.evaluation``: ``p2o-eval``."""

from p2o.evaluation.command import main

if __name__ == "__main__":
    main()
