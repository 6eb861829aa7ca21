"""The sections of the page, as HTML: all text in them is escaped."""

from collections.abc import Callable, Sequence
from html import escape

from p2o.report.contents import Contents, rejected, searches
from p2o.report.hints import HintNode
from p2o.report.searches import Search
from p2o.report.spending import AXES
from p2o.report.story import RunStory
from p2o.report.tables import Table, as_html, as_text
from p2o.report.words import Paragraphs, count, tell_arms, tell_run

ROW_CHARACTERS = 120
"""Of a hint in the table of a search."""
HINT_COLUMNS = (
    *("dev score", "dev solved", "in use", "first solved"),
    *("later without it", "reliance"),
)
EVALUATIONS = " What evaluations of held-out problems cost is not counted in."
ONE_SEED = f"The band is a 95 % interval over held-out problems; there is one seed.{EVALUATIONS}"
SEEDS = (
    "Lines are means over seeds, points are single evaluations; bands are 95 % bootstrap intervals "
    "over seeds, from three seeds on. A run that has ended keeps its last accuracy; of an arm's "
    "several runs those that have not ended are left out." + EVALUATIONS
)
SELECTED = (
    "Training problems get hints because they were hard, so “before, without hint” is low by "
    "selection, and “after, with hint” is of those that were still hard later."
)
EPOCHS = (
    "Epochs count from 0, as in metrics.csv. A problem that an epoch did not roll out stays what "
    "it was; so does one that was solved without a hint and was not asked without one since."
)
WHOLE_HARD_SET = " The column hard counts all training problems, the others those on record."


def words(contents: Contents) -> str:
    """What was trained, what it learned, what it cost; the arms first where there are several."""
    own = _of_runs(contents, _words_of_run)
    if len(contents.stories) == 1:
        return own
    joint = _cards(tell_arms(contents.arms, contents.against, contents.differences("accuracy")))
    tables = [contents.table(name) for name in ("arms", "differences", "runs")]
    return joint + "".join(as_html(table) for table in tables if table) + own


def _words_of_run(story: RunStory, contents: Contents) -> str:
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in story.notes)
    name = f"<h3>{escape(story.run.name)}</h3>" if len(contents.stories) > 1 else ""
    return f"{name}{notes}{_cards(tell_run(story))}"


def _cards(paragraphs: Paragraphs) -> str:
    cards = (
        f"<div><h3>{escape(heading)}</h3>{''.join(f'<p>{escape(s)}</p>' for s in sentences)}</div>"
        for heading, sentences in paragraphs.items()
    )
    return f'<div class="words">{"".join(cards)}</div>'


def accuracy(contents: Contents) -> str:
    """Held-out accuracy over each axis that is known, and cost by phase."""
    charts, single = contents.joint_charts, len(contents.stories) == 1
    axes = [axis for axis in AXES if f"accuracy:{axis}" in charts]
    parts = []
    if len(axes) > 1:
        buttons = (
            f'<button type="button" data-axis="{axis}"{" class=on" if axis == axes[0] else ""}>'
            f"{axis}</button>"
            for axis in axes
        )
        parts.append(f'<div class="controls">{"".join(buttons)}</div>')
    if axes:
        parts += [_chart("accuracy"), _quiet(ONE_SEED if single else SEEDS)]
    if "cost" in charts:
        parts += ["<h3>Cost by phase</h3>", _chart("cost")]
        if single:
            parts.append(_table(contents, "cost"))
    return "".join(parts)


def river(contents: Contents) -> str:
    """Problems by state and epoch."""
    return _of_runs(contents, _river_of_run)


def _river_of_run(story: RunStory, contents: Contents) -> str:
    if story.river:
        said = EPOCHS + (WHOLE_HARD_SET if story.run.is_sampled else "")
        return _chart("river") + _quiet(said) + _table(contents, "epochs", story)
    hard = story.run.column("hard/size")
    if not hard:
        return ""
    return (
        "<p>There are no records, so only the size of the hard set is known: "
        f"{hard[0][1]:.0f} problems after the first epoch, {hard[-1][1]:.0f} at the end.</p>"
    )


def two_by_two(contents: Contents) -> str:
    """Weights against hints."""
    return _of_runs(contents, _two_by_two_of_run)


def _two_by_two_of_run(story: RunStory, contents: Contents) -> str:
    if story.two_by_two is None:
        return ""
    said = [f"Measured on {story.two_by_two.problems}."]
    if story.two_by_two.selected:
        said.append(SELECTED)
    return _chart("two", narrow=True) + _quiet(" ".join(said))


def hints(contents: Contents) -> str:
    """Each search as a tree and as a table."""
    own = _of_runs(contents, _hints_of_run)
    detail = '<div class="card" id="hint-detail" tabindex="-1" hidden></div>'
    return own + detail if own else ""


def _hints_of_run(story: RunStory, contents: Contents) -> str:
    trees = contents.run_charts[story].get("tree", {})
    none = "" if trees or not story.nodes else "<p>No search has found a hint.</p>"
    nodes, left = searches(story), rejected(story)
    with_tree = {search for search in nodes if search.key in trees}
    shown = sorted(with_tree | left.keys(), key=lambda search: search.key)
    if not shown:
        return none
    options = "".join(
        f'<option value="{search.key}">{search}: {count(len(nodes.get(search, ())), "hint")}'
        "</option>"
        for search in shown
    )
    found = "".join(
        f'<div data-search="{search.key}">'
        + (_tree(story, search, nodes[search]) if search in with_tree else "")
        + (_rejected(story, search, left[search]) if search in left else "")
        + "</div>"
        for search in shown
    )
    return (
        f'{none}<div class="controls"><label>Search <select class="searches">{options}</select>'
        '</label><span class="quiet">Blue is a high dev score, a yellow ring is in use; click a '
        f"hint.</span></div>{found}"
    )


def _tree(story: RunStory, search: Search, nodes: Sequence[HintNode]) -> str:
    return _chart(f"tree:{search.key}") + _hint_table(story, nodes)


def _rejected(story: RunStory, search: Search, nodes: Sequence[HintNode]) -> str:
    """What a search did not keep, folded: the whole tree, and a table with the reasons."""
    number = sum(node.search == search for node in story.rejected)
    first = f", the first {len(nodes)} of which are shown" if len(nodes) < number else ""
    names = ("parent", "own")
    head = "".join(f"<th class=number>{name}</th>" for name in names)
    rows = "".join(
        f"<tr><td>{_opening(node)}</td><td>{escape(node.rejected)}</td>"
        + "".join(f"<td class=number>{_score(each)}</td>" for each in (node.before, node.after))
        + "</tr>"
        for node in nodes
    )
    plural = "candidate was" if number == 1 else "candidates were"
    return (
        f"<details><summary>{number} {plural} not kept{first}</summary>"
        + _quiet("Pale ones were not kept. Scores are means on the problems reflected on.")
        + _chart(f"whole:{search.key}")
        + '<div class="scroll"><table><thead><tr><th>candidate</th><th>why not</th>'
        + f"{head}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _score(value: float | None) -> str:
    return as_text(None if value is None else f"{value:.2f}")


def _opening(node: HintNode) -> str:
    """A hint in one line, which opens it."""
    text = " ".join(node.text.split()) or node.blank
    short = text if len(text) <= ROW_CHARACTERS else f"{text[:ROW_CHARACTERS]} …"
    place = f'data-node="{node.search.key}:{node.index}"'
    return f'<button type="button" class="link" {place}>{escape(short)}</button>'


def _hint_table(story: RunStory, nodes: Sequence[HintNode]) -> str:
    head = "".join(f"<th class=number>{name}</th>" for name in HINT_COLUMNS)
    rows = "".join(_hint_row(story, node) for node in nodes)
    return (
        f'<div class="scroll"><table><thead><tr><th>hint</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _hint_row(story: RunStory, node: HintNode) -> str:
    use = story.hint_use.get(node.hint)
    later = (len(use.first), len(use.internalised), use.reliance) if use else (None,) * 3
    values = [_score(node.score), f"{len(node.solved)} of {node.dev}", node.in_use, *later]
    cells = "".join(f"<td class=number>{escape(as_text(value))}</td>" for value in values)
    return f"<tr><td>{_opening(node)}</td>{cells}</tr>"


def health(contents: Contents) -> str:
    """Metrics over steps, and guards."""
    return _of_runs(contents, _health_of_run)


def _health_of_run(story: RunStory, contents: Contents) -> str:
    places = contents.run_charts[story].get("health", {})
    charts = "".join(_chart(f"health:{place}") for place in places)
    panels = f'<div class="panels">{charts}</div>' if charts else ""
    said = ""
    if story.run.summary:
        stopped = story.run.summary.get("collapse")
        text = f"A guard stopped the run: {stopped}" if stopped else "No guard stopped the run."
        said = f"<p>{escape(text)}</p>"
    return panels + said + _table(contents, "guards", story)


def settings(contents: Contents) -> str:
    """Command line, versions and configuration."""
    return _of_runs(contents, _settings_of_run)


def _settings_of_run(story: RunStory, contents: Contents) -> str:
    versions = story.run.summary.get("versions")
    said = ""
    if isinstance(versions, dict):
        listed = ", ".join(f"{name} {number}" for name, number in versions.items())
        said = f"<p>Versions: {escape(listed)}.</p>"
    command = escape(" ".join(["p2o-train", *story.run.overrides]))
    return f"{said}<pre>{command}</pre>{_table(contents, 'settings', story)}"


def _of_runs(contents: Contents, make: Callable[[RunStory, Contents], str]) -> str:
    """A part for each run that has one; the page shows those of one run at a time."""
    parts = []
    for number, story in enumerate(contents.stories):
        part = make(story, contents)
        if part:
            hidden = " hidden" if number else ""
            parts.append(f'<div data-run="{number}"{hidden}>{part}</div>')
    return "".join(parts)


def _chart(key: str, narrow: bool = False) -> str:
    return f'<div class="chart{" narrow" if narrow else ""}" data-chart="{key}"></div>'


def _quiet(text: str) -> str:
    return f'<p class="quiet">{escape(text)}</p>'


def _table(contents: Contents, name: str, story: RunStory | None = None) -> str:
    """A table of all runs, or the rows of one, without the column that names the run."""
    table = contents.table(name)
    if table is None:
        return ""
    rows = [row[1:] for row in table.rows if story is None or row[0] == story.run.name]
    return as_html(Table(name, table.title, table.columns[1:], rows)) if rows else ""
