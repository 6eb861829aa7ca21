"""The page: one file of HTML with all that it needs inside."""

from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from p2o.report import sections
from p2o.report.contents import Contents
from p2o.report.payload import in_script, packed, page_data, rollout_table
from p2o.report.story import RunStory

SECTIONS = {
    "words": ("In words", sections.words),
    "accuracy": ("Accuracy over spending", sections.accuracy),
    "problems": ("Problems by epoch", sections.river),
    "weights": ("Weights and hints", sections.two_by_two),
    "hints": ("Hints", sections.hints),
    "rollouts": ("Problems and rollouts", lambda contents: _rollouts(contents)),
    "health": ("Health", sections.health),
    "settings": ("Configuration", sections.settings),
}
"""Id to heading and what makes the content, which is left out where that is empty."""


def page(contents: Contents, library: str) -> str:
    """The report as HTML.

    Args:
        contents: What it shows.
        library: JavaScript that defines ``vegaEmbed``.
    """
    tables = [rollout_table(story) for story in contents.stories]
    blocks = [
        f'<script type="text/plain" id="rollouts-{number}">{packed(table)}</script>'
        for number, table in enumerate(tables)
        if table is not None
    ]
    made = {name: (title, make(contents)) for name, (title, make) in SECTIONS.items()}
    shown = {name: (title, content) for name, (title, content) in made.items() if content}
    single = len(contents.stories) == 1
    heading = contents.stories[0].run.name if single else f"{len(contents.stories)} runs"
    return Template(_resource("report.html")).substitute(
        title=escape(f"p2o: {heading}"),
        heading=escape(heading),
        subtitle=_subtitle(contents),
        navigation="".join(f'<a href="#{name}">{title}</a>' for name, (title, _) in shown.items()),
        main="\n".join(
            f'<section id="{name}"><h2>{title}</h2>{content}</section>'
            for name, (title, content) in shown.items()
        ),
        css=_resource("report.css"),
        data=in_script(page_data(contents)),
        packed="\n".join(blocks),
        # Inside of strings of the library these would end the element, or begin a comment.
        library=library.replace("</script", r"<\/script").replace("<!--", r"<\!--"),
        script=_resource("report.js"),
    )


@cache
def _resource(name: str) -> str:
    return files("p2o.report").joinpath("page", name).read_text(encoding="utf-8")


def _rollouts(contents: Contents) -> str:
    return _resource("rollouts.html") if any(story.rollouts for story in contents.stories) else ""


def _subtitle(contents: Contents) -> str:
    if len(contents.stories) == 1:
        return "Weights and prompts of one run, trained and evolved together."
    options = "".join(
        f'<option value="{number}">{escape(_name(story, contents))}</option>'
        for number, story in enumerate(contents.stories)
    )
    return f'<label>Sections of one run show <select id="run">{options}</select></label>'


def _name(story: RunStory, contents: Contents) -> str:
    return f"{story.run.name} ({contents.arm_of(story)})"
