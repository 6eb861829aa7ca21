"""The page in a browser: charts are drawn, a search finds, hints and problems open."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from p2o.cli.report import report
from tests.report.browser import Tab, chromium, open_tab
from tests.report.world import COLUMNS, REJECTED, write_rejected, write_run

pytest.importorskip("vl_convert", reason="the extra `report` is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no chromium is installed"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    return report([write_run(tmp_path_factory.mktemp("runs") / "run")], figures=False)


def in_tab(use: Callable[[Tab], Awaitable[None]]) -> None:
    async def run() -> None:
        async with open_tab() as tab:
            await use(tab)
            assert tab.complaints == []
            assert [each for each in tab.requests if not each.startswith("file:")] == []

    asyncio.run(run())


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_all_charts_are_drawn_and_fit(page, width, dark):
    async def use(tab: Tab) -> None:
        await tab.show(page, width, dark)
        drawn = await tab.evaluate(
            "[...document.querySelectorAll('.chart')]"
            ".map(chart => chart.querySelectorAll('svg path').length)"
        )
        assert len(drawn) >= 8
        assert all(paths > 3 for paths in drawn)
        assert await tab.evaluate("document.documentElement.scrollWidth") <= width
        ground = await tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (not dark)
        ink = await tab.evaluate("getComputedStyle(document.querySelector('.chart svg text')).fill")
        assert (sum(map(int, ink[4:-1].split(","))) > 384) == dark

    in_tab(use)


def test_a_search_finds_rollouts_and_shows_them_as_text(page):
    async def use(tab: Tab) -> None:
        await tab.show(page)
        await tab.evaluate(
            "(() => { const s = document.getElementById('search'); s.value = 'C 2 </SCRIPT>';"
            " s.dispatchEvent(new Event('input')); })()"
        )
        await tab.until("document.getElementById('count').textContent.includes('of 2 rollouts')")
        rows = await tab.evaluate("document.getElementById('rows').textContent")
        assert "c 2 </script><script>" in rows
        assert await tab.evaluate("document.querySelectorAll('#rows img').length") == 0
        assert await tab.evaluate("document.title") != "owned"

    in_tab(use)


def test_filters_and_pages_go_through_all_rollouts(page):
    async def use(tab: Tab) -> None:
        await tab.show(page)
        count = "document.getElementById('count').textContent"
        await tab.evaluate("document.getElementById('rollouts').scrollIntoView()")
        await tab.until(f"{count} === '1 to 20 of 26 rollouts'")
        await tab.evaluate("document.getElementById('on').click()")
        await tab.until(f"{count} === '21 to 26 of 26 rollouts'")
        await tab.evaluate(
            "(() => { const s = document.getElementById('hinted'); s.value = 'true';"
            " s.dispatchEvent(new Event('change')); })()"
        )
        await tab.until(f"{count} === '1 to 10 of 10 rollouts'")

    in_tab(use)


def test_a_hint_opens_with_its_difference_and_exchange_and_leads_to_a_problems_life(page):
    async def use(tab: Tab) -> None:
        await tab.show(page)
        await tab.evaluate("document.querySelector('[data-node=\"epoch_0001:2\"]').click()")
        detail = "document.getElementById('hint-detail')"
        shown = await tab.evaluate(f"{detail}.textContent")
        assert COLUMNS[1] in shown
        assert "Improve this: Think of columns." in shown
        assert await tab.evaluate(f"{detail}.querySelectorAll('ins, del').length") > 1
        await tab.evaluate(f"[...{detail}.querySelectorAll('button')].at(-2).click()")
        life = "document.getElementById('life')"
        await tab.until(f"!{life}.hidden")
        told = await tab.evaluate(f"{life}.textContent")
        for step in ("Problem b", "Failed without a hint", "First solved with it", COLUMNS[1]):
            assert step in told
        assert "First solved without a hint since then" in told

    in_tab(use)


def test_a_life_has_its_tokens_coloured_by_what_the_hint_makes_of_them(page):
    async def use(tab: Tab) -> None:
        await tab.show(page)
        await tab.evaluate("showLife('b')")
        life = "document.getElementById('life')"
        await tab.until(f"!{life}.hidden")
        tokens = f"[...{life}.querySelectorAll('pre.tokens span')]"
        assert await tab.evaluate(f"{tokens}.map(t => t.className)") == [
            "leans rare",
            "leans",
            "own",
        ]
        leans, little, _ = await tab.evaluate(
            f"{tokens}.map(t => getComputedStyle(t).backgroundColor)"
        )
        assert leans != little
        assert "0.050 times as likely without the hint" in await tab.evaluate(f"{tokens}[0].title")
        assert await tab.evaluate(f"{life}.querySelectorAll('img').length") == 0
        assert "orange are likelier with the hint" in await tab.evaluate(f"{life}.textContent")
        assert await tab.evaluate("document.title") != "owned"

    in_tab(use)


def test_candidates_that_were_not_kept_unfold_and_open(tmp_path):
    run = write_run(tmp_path / "run")
    write_rejected(run)
    made = report([run], figures=False)

    async def use(tab: Tab) -> None:
        await tab.show(made)
        fold = "document.querySelector('details')"
        assert await tab.evaluate(f"{fold}.querySelectorAll('svg').length") == 0
        await tab.evaluate(f"{fold}.open = true")
        dots = f"{fold}.querySelectorAll('.mark-symbol path').length"
        await tab.until(f"{dots} > 0")
        # Those of the pool and two more.
        assert await tab.evaluate(dots) == 6
        await tab.evaluate(f"{fold}.querySelector('[data-node=\"epoch_0001:4\"]').click()")
        shown = await tab.evaluate("document.getElementById('hint-detail').textContent")
        assert REJECTED in shown
        assert "not kept: no better than its parent" in shown
        assert "Shorter?" in shown

    in_tab(use)


async def point_at(tab: Tab, node: int, *kinds: str) -> None:
    """Move the mouse to a node of the tree of hints, and what else it does there."""
    x, y = await tab.evaluate(
        "(() => { const chart = document.querySelector('[data-chart=\"tree:epoch_0001\"]');"
        " chart.scrollIntoView({block: 'center'});"
        f" const mark = chart.querySelectorAll('.mark-symbol path')[{node}];"
        " const box = mark.getBoundingClientRect();"
        " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    for kind in ("mouseMoved", *kinds):
        pressed = {"button": "left", "clickCount": 1} if kind != "mouseMoved" else {}
        await tab.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)


def test_a_click_on_the_tree_opens_the_hint(page):
    async def use(tab: Tab) -> None:
        await tab.show(page)
        await point_at(tab, 1, "mousePressed", "mouseReleased")
        await tab.until("!document.getElementById('hint-detail').hidden")
        detail = await tab.evaluate("document.getElementById('hint-detail').textContent")
        assert COLUMNS[0] in detail

    in_tab(use)


def test_a_hint_with_markup_is_text_where_the_mouse_is(page):
    async def use(tab: Tab) -> None:
        await tab.show(page)
        await point_at(tab, 3)
        tip = "document.getElementById('vg-tooltip-element')"
        await tab.until(f"{tip} && {tip}.textContent.includes('<script>')")
        assert await tab.evaluate(f"{tip}.querySelectorAll('script, img').length") == 0
        assert await tab.evaluate("document.title") != "owned"

    in_tab(use)


def test_of_several_runs_one_is_shown_at_a_time(tmp_path):
    runs = [
        write_run(tmp_path / "one"),
        write_run(tmp_path / "two", ("experiment=grpo",), after=0.5, recorded=False),
    ]
    made = report(runs, figures=False)

    async def use(tab: Tab) -> None:
        await tab.show(made)
        visible = "[...document.querySelectorAll('[data-run]')].filter(p => !p.hidden)"
        assert await tab.evaluate(f"{visible}.every(p => p.dataset.run === '0')")
        assert not await tab.evaluate("document.getElementById('rollouts').hidden")
        await tab.evaluate(
            "(() => { const s = document.getElementById('run'); s.value = '1';"
            " s.dispatchEvent(new Event('change')); })()"
        )
        assert await tab.evaluate(f"{visible}.every(p => p.dataset.run === '1')")
        assert await tab.evaluate("document.getElementById('rollouts').hidden")

    in_tab(use)
