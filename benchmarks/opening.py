"""``python -m benchmarks.opening RUN [ROLLOUTS]``: how long a report of many takes to open.

Makes a copy of a run whose rollouts are repeated until there are 100,000, each with 60 more words,
writes its report, opens it in Chromium, and prints processor time. Time by the clock says little
on a machine that does something else meanwhile.
"""

import asyncio
import random
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import pyarrow as pa
import pyarrow.parquet as pq

from p2o.cli.report import report
from tests.report.browser import Tab, open_tab

ROLLOUTS, WORDS = 100_000, 60
LEFT_OUT = shutil.ignore_patterns("checkpoints", "policy", "report", "export")


def repeated(table: pa.Table, number: int) -> pa.Table:
    """So many rollouts, in groups of their own and with longer responses."""
    times = -(-number // len(table))
    many = pa.concat_tables([table] * times).slice(0, number)
    words, draw = (
        sorted({w for r in table["response"].to_pylist() for w in r.split()}),
        random.Random(0),
    )
    groups = many["group"].to_pylist()
    step = max(groups) + 1
    columns: Mapping[str, list] = {
        "group": [group + step * (row // len(table)) for row, group in enumerate(groups)],
        "response": [
            " ".join([response, *draw.choices(words, k=WORDS)])
            for response in many["response"].to_pylist()
        ],
    }
    for name, values in columns.items():
        place = many.schema.get_field_index(name)
        field = many.schema.field(name)
        many = many.set_column(place, field, pa.array(values, field.type))
    return many


def enlarge(run: Path, number: int) -> None:
    """Repeat the rollouts of a run in its place."""
    parts = sorted((run / "records" / "rollouts").glob("*.parquet"))
    table = pa.concat_tables([pq.read_table(part) for part in parts], promote_options="default")
    pq.write_table(repeated(table, number), parts[0])
    for part in parts[1:]:
        part.unlink()


async def opened(page: Path) -> tuple[float, float]:
    """Processor seconds of the page until its charts are drawn, and from then to its rollouts."""
    async with open_tab() as tab:
        await tab.call("Performance.enable", timeDomain="threadTicks")
        await tab.show(page)
        charts = await _busy(tab)
        await tab.evaluate("document.getElementById('rollouts').scrollIntoView()")
        await tab.until("document.getElementById('count').textContent.includes('rollouts')")
        return charts, await _busy(tab) - charts


async def _busy(tab: Tab) -> float:
    metrics = (await tab.call("Performance.getMetrics"))["metrics"]
    return next(each["value"] for each in metrics if each["name"] == "TaskDuration")


def main() -> None:
    """Print one line."""
    run, number = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else ROLLOUTS
    with TemporaryDirectory() as folder:
        large = Path(shutil.copytree(run, Path(folder) / "run", symlinks=True, ignore=LEFT_OUT))
        enlarge(large, number)
        start = process_time()
        page = report([large], figures=False)
        written = process_time() - start
        charts, rollouts = asyncio.run(opened(page))
        print(
            f"{number:,} rollouts, {page.stat().st_size / 1e6:.1f} MB: written in {written:.1f} s "
            f"of processor time; charts after {charts:.2f} s, rollouts after {rollouts:.2f} s more"
        )


if __name__ == "__main__":
    main()
