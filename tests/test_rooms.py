"""The table of rooms in docs/architecture.md is the contract that lint-imports holds."""

import re
import tomllib
from collections import defaultdict
from pathlib import Path

HOME = Path(__file__).parents[1]
ROW = re.compile(r"^\| (\d+) \| `p2o/(\w+)(?:\.py)?` \|", re.MULTILINE)


def contract() -> dict[str, list]:
    settings = tomllib.loads((HOME / "pyproject.toml").read_text())["tool"]["importlinter"]
    return next(each for each in settings["contracts"] if each["type"] == "layers")


def test_the_table_is_the_contract():
    page = (HOME / "docs" / "architecture.md").read_text()
    table = page[page.index("## The rooms") :]
    floors = defaultdict(set)
    for floor, room in ROW.findall(table):
        floors[int(floor)].add(room)
    layers = [set(layer.split(" | ")) for layer in contract()["layers"]]
    assert [floors[number] for number in sorted(floors, reverse=True)] == layers
    assert sorted(floors) == list(range(len(layers)))


def test_every_room_is_in_the_contract_and_the_root_is_small():
    files = {path.stem for path in (HOME / "p2o").glob("*.py")} - {"__init__"}
    rooms = {path.parent.name for path in (HOME / "p2o").glob("*/__init__.py")}
    named = {room for layer in contract()["layers"] for room in layer.split(" | ")}
    assert named == files | rooms
    assert len(files) < 8
