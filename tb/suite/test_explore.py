"""The search over arrays: which are tried, what is computed again, which are on the front."""

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cleave.config import PRESETS, ConfigError
from cleave.report.estimate import AreaEstimate
from cleave.suite import explore as explore_module
from cleave.suite.explore import Results, cluster, explore, front, grid, summarise
from cleave.suite.plot import plot_front
from cleave.suite.shapes import Workload
from cleave.suite.tables import front_table

TINY = PRESETS["tiny"]
SIZES = {"slabs": [1, 2], "rows": [4], "columns": [4, 8], "dot": [2], "load_rows": [1]}
WORKLOADS = [Workload("one", "decode", (2,), 20, 12, "here, 1"), Workload("two", "prefill", (9,), 8, 8, "here, 2")]


def test_grid() -> None:
    points = grid(TINY, SIZES | {"dot": [1, 2], "load_rows": [1, 2]}, [4, 8, 33])
    # load_rows 2 only with dot 2
    assert len(points) == 2 * 2 * 3 * 3
    assert {(point.bandwidth, point.config.axi_data_width) for point in points} == {(4, 64), (8, 64), (33, 512)}
    assert all(point.config.moving_depth == TINY.moving_depth for point in points)


BAD = [
    ({"slabs": [0]}, [8], "no combination of the sizes is legal: slabs must be 1 to 30, not 0"),
    ({"slabs": [1, 31]}, [8], "slabs 31 is in no legal combination: slabs must be 1 to 30, not 31"),
    ({"dot": [2, 3]}, [8], "dot 3 is in no legal combination: dot must be 1, 2, 4, 8 or 16, not 3"),
    ({"load_rows": [1, 4]}, [8], r"load_rows 4 is in no legal combination: load_rows must divide dot \(2\), not 4"),
    ({}, [8, 129], "bandwidth 129 is in no legal combination: bandwidth must be above 0 and at most 128 bytes a cycle, not 129"),
    ({}, [0], "bandwidth must be above 0 and at most 128 bytes a cycle, not 0"),
]


@pytest.mark.parametrize(("sizes", "bandwidths", "message"), BAD)
def test_bad_grid(sizes: dict[str, list[int]], bandwidths: list[float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        grid(TINY, SIZES | sizes, bandwidths)


def test_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = grid(TINY, SIZES, [8])
    connections = 0

    def connect() -> object:
        nonlocal connections
        connections += 1
        return cluster(None, 1)

    def run(points: list, workloads: list) -> tuple[dict, list[int]]:
        steps: list[int] = []
        with closing(Results(tmp_path / "results.sqlite")) as results:
            return explore(points, workloads, results, connect, advance=steps.append), steps

    first, steps = run(points[:2], WORKLOADS[:1])
    assert (connections, steps) == (1, [0, 1, 1])
    found, steps = run(points, WORKLOADS)
    assert connections == 2 and steps == [2] + [1] * 6
    assert {point: results[:1] for point, results in found.items() if point in first} == first
    again, steps = run(points, WORKLOADS)
    assert connections == 2 and steps == [8] and again == found, "nothing is computed again"
    for point, results in found.items():
        assert results == [explore_module.evaluate(point, workload, 32) for workload in WORKLOADS]
    monkeypatch.setattr(explore_module, "version", lambda: "other sources")
    _, steps = run(points[:1], WORKLOADS)
    assert connections == 3 and steps == [0, 1, 1], "other sources, other results"


def test_refused_engines_are_left_out(tmp_path: Path) -> None:
    points = grid(TINY, SIZES, [8])
    huge = Workload("huge", "prefill", (2**20,), 2**10, 2**10, "here, 3")
    assert "must fit" in explore_module.evaluate(points[0], huge, 32)["refused"]
    result = {"cycles": 100, "array_cycles": 50, "bound_cycles": 80}
    found = {points[0]: [result], points[1]: [{"refused": "too large"}]}
    rows, refused = summarise(found, WORKLOADS[:1], AreaEstimate("sky130hd"))
    assert refused == [f"{points[1].config.name}: too large"] and len(rows) == 1
    assert rows[0]["front"] and rows[0]["utilisation"] == pytest.approx(2 * 20 * 12 / (16 * 100))
    assert rows[0]["reached"] == pytest.approx(0.8)
    table = front_table({"points": rows})
    assert {len(row) for row in table.rows} == {len(table.head)}
    plots = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for path in plots:
        plot_front(rows, path)
    assert plots[0].read_bytes() == plots[1].read_bytes()
    assert "<svg" in (text := plots[0].read_text()) and text.rstrip().endswith("</svg>")


def test_front() -> None:
    assert front([(1, 5), (2, 4), (3, 3), (3, 4), (2, 5), (1, 5)]) == {0, 1, 2, 5}
    assert front([(2, 2), (1, 1), (3, 0)]) == {1, 2}
    for costs in itertools.product(itertools.product((0, 1), repeat=2), repeat=3):
        best = front(costs)
        beaten = {
            i for i, c in enumerate(costs) if any(d[0] <= c[0] and d[1] <= c[1] and (d[0] < c[0] or d[1] < c[1]) for d in costs)
        }
        assert best == set(range(3)) - beaten


def test_wrong_files(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all, but long enough to be looked at" * 20)
    with pytest.raises(ValueError, match="text must be a file of results, or not exist"):
        Results(tmp_path / "text")
    with closing(sqlite3.connect(tmp_path / "other")) as connection:
        connection.execute("CREATE TABLE results (a INTEGER)")
    with pytest.raises(ValueError, match="other must be a file of results, or not exist: no such column: key"):
        Results(tmp_path / "other")
