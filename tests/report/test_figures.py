"""Pictures can be read on a light and on a dark page, and show what was measured."""

import re

import pytest

from p2o.report.figures import learning_curves, over_seeds


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(colour: str, background: str) -> float:
    lighter, darker = sorted(map(luminance, (colour, background)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.fixture
def runs(tmp_path):
    """Two arms with two runs each."""

    def run(name, accuracies):
        folder = tmp_path / name
        folder.mkdir()
        rows = "".join(f"{100 * n},{accuracy}\n" for n, accuracy in enumerate(accuracies))
        (folder / "metrics.csv").write_text(f"ledger/rollouts,val/accuracy\n{rows}5,\n")
        return folder

    return {
        "one": [run("a", (0.25, 0.5, 1.0)), run("b", (0.25, 0.25, 0.75, 1.0))],
        "other": [run("c", (0.25, 0.25)), run("d", (0.25, 0.0))],
    }


def test_every_colour_of_a_figure_can_be_read_on_white_and_on_black(runs, tmp_path):
    learning_curves(runs, tmp_path / "curves.svg")
    drawn = (tmp_path / "curves.svg").read_text()
    colours = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", drawn))
    assert len(colours) == 3
    for colour in colours:
        assert contrast(colour, "#ffffff") > 3, colour
        assert contrast(colour, "#0d1117") > 3, colour
    # What has no colour would be black.
    assert not re.search(r'<use [^>]*style="[^"]*#000000', drawn)


def test_a_figure_has_an_interval_for_each_arm(runs, tmp_path):
    learning_curves(runs, tmp_path / "curves.svg")
    drawn = (tmp_path / "curves.svg").read_text()
    assert len(re.findall(r'id="FillBetweenPolyCollection_\d+"', drawn)) == 2


def test_intervals_hold_every_run_and_end_with_the_shortest():
    places, means, lows, highs = over_seeds(
        [([0, 100, 200], [0.0, 0.5, 1.0]), ([0, 150, 400], [0.25, 0.25, 1.0])]
    )
    assert places == [0, 100, 150, 200]
    assert means == pytest.approx([0.125, 0.375, 0.5, 0.7])
    assert lows == pytest.approx([0.0, 0.25, 0.25, 0.4])
    assert highs == pytest.approx([0.25, 0.5, 0.75, 1.0])
