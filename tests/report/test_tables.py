import csv
import io

import pytest

from p2o.report.tables import Table, as_csv, as_html, as_latex, as_markdown, as_text

TABLE = Table(
    "mixed",
    "Some <values>",
    ["a_b", "n"],
    [["x & y_1 | 50 %\nnext", 1 / 3], ["<script>\\alpha{}", None], ["", 1200]],
)


def test_csv_has_numbers_in_full_and_reads_back():
    rows = list(csv.reader(io.StringIO(as_csv(TABLE))))
    assert rows[0] == ["a_b", "n"]
    assert rows[1][0] == "x & y_1 | 50 %\nnext"
    assert float(rows[1][1]) == 1 / 3
    assert rows[2][1] == ""


def test_markdown_keeps_one_line_for_each_row():
    lines = as_markdown(TABLE).splitlines()
    assert lines[1] == "| --- | ---: |"
    assert lines[2] == "| x &amp; y_1 \\| 50 % next | 0.3333 |"
    assert lines[3] == "| &lt;script&gt;\\\\alpha{} | – |"
    assert lines[4] == "|  | 1,200 |"


def test_latex_has_no_character_that_is_a_command():
    text = as_latex(TABLE)
    assert r"x \& y\_1 | 50 \% next & 0.3333 \\" in text
    assert r"\textless{}script\textgreater{}\textbackslash{}alpha\{\} & -- \\" in text
    assert text.startswith(r"\begin{tabular}{lr}")


def test_html_is_text():
    text = as_html(TABLE)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "Some &lt;values&gt;" in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (16_231.5, "16,232"),
        (-16_231.5, "-16,232"),
        (999.96, "1000"),
        (30.142, "30.14"),
        (0.27749, "0.2775"),
        (1.0, "1"),
        (16_664, "16,664"),
        (True, "yes"),
        (None, "–"),
    ],
)
def test_a_number_is_short_and_has_all_digits_before_its_point(value, shown):
    assert as_text(value) == shown
