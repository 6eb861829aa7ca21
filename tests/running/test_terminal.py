"""What models write and files hold is printed as it is, and commands nothing."""

import ast
import io
import logging
from pathlib import Path

import pytest
from rich.table import Table

import p2o
from p2o.report.summary import print_report
from p2o.running.terminal import PlainFormatter, Terminal, plain, print_error

NASTY = {
    "a closing tag": "[/answer] first",
    "a tag": "[bold]loud[/bold]",
    "a link": "[link=http://a.b]here[/link]",
    "an emoji's name": ":smile: please",
    "a colour": "\x1b[31mred",
    "a window title": "\x1b]0;owned\x07",
    "an 8-bit command": "\x9b2Jgone",
    "overwriting": "right\rwrong\b\b",
    "right to left": "\u202eabc\u2066d",
    "half a pair": "a \ud83d b",
    "the end of a text": "\x00\x7f",
}


def spelled(text):
    """The text as it must come out: what is not printable spelled as in Python."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


@pytest.fixture(params=NASTY)
def nasty(request):
    return NASTY[request.param]


def test_text_is_spelled_out(nasty):
    assert plain(nasty) == spelled(nasty)
    assert plain("line\n\tä 数 🙂 é") == "line\n\tä 数 🙂 é"


@pytest.mark.parametrize("style", [None, "bold"])
def test_a_terminal_prints_text_as_it_is(nasty, style):
    out = io.StringIO()
    terminal = Terminal(file=out, width=100, _environ={})
    terminal.print(nasty, style=style)
    terminal.rule(nasty)
    table = Table(nasty, title=nasty)
    table.add_row(nasty)
    terminal.print(table)
    assert out.getvalue().count(spelled(nasty)) == 5
    assert "\x1b" not in out.getvalue()
    out.getvalue().encode()


def test_the_final_table_shows_any_template(nasty, capsys, tmp_path):
    spent = {"train": {"rollouts": 1.0}}
    summary = {
        "accuracy": {"before": 0.0, "after": 1.0},
        "hard_accuracy": {"before": 0.0, "after": None},
        "held_out": 1,
        "held_out_hard": 1,
        "accuracy_by_source": {},
        "templates": [{"text": nasty, "score": 0.5}],
        "ledger": spent,
    }
    print_report(summary, tmp_path)
    assert spelled(nasty) in capsys.readouterr().out


def test_errors_and_logs_are_plain(nasty, capsys):
    print_error(ValueError(nasty))
    assert capsys.readouterr().err == f"error: {spelled(nasty)}\n"
    record = logging.LogRecord("p2o", logging.WARNING, "", 0, "answer: %s", (nasty,), None)
    assert PlainFormatter(logging.Formatter()).format(record) == f"answer: {spelled(nasty)}"


def test_all_of_p2o_prints_through_it():
    """Rich's own console takes brackets for markup, and its `Text` lets escapes through."""
    for path in Path(p2o.__file__).parent.rglob("*.py"):
        imported = {
            f"{node.module}.{alias.name}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        direct = imported & {"rich.console.Console", "rich.text.Text", "rich.print"}
        assert not direct or path.name == "terminal.py", path
