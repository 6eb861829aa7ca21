"""How many template searches a run makes, were all of its steps made."""


def count_searches(
    epochs: int,
    steps: int,
    every_n_epochs: int = 1,
    every_n_steps: int | None = None,
    last_search: int | None = None,
    at_start: bool = False,
) -> int:
    """Searches of `p2o_callbacks.PromptEvolution` in a run; a run that is over makes none.

    Args:
        epochs: Of the run.
        steps: Optimiser steps of an epoch.
        every_n_epochs: See `PromptEvolution`, as what follows.
        every_n_steps: Likewise.
        last_search: Likewise.
        at_start: Likewise.
    """
    latest = epochs - 1 if last_search is None else min(epochs - 1, last_search)
    if every_n_steps is None:
        return at_start + latest // every_n_epochs
    searches = int(at_start)
    for epoch in range(epochs):
        first = epoch * steps // every_n_steps
        # The step that ends the run is followed by none.
        last = ((epoch + 1) * steps - (epoch == epochs - 1)) // every_n_steps
        within = last - first if last_search is None or epoch < last_search else 0
        # One before the first epoch stands for one within it.
        none = not within and not (at_start and epoch == 0)
        searches += within + (none and epoch < latest)
    return searches
