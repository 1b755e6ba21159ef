"""The suite's bench: every run is compared with numpy and the model, and the report is written as it should be."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from cleave.config import PRESETS, ConfigError, EngineConfig
from cleave.sim import Simulator
from cleave.suite import bench as bench_module
from cleave.suite import measure
from cleave.suite.bench import BASELINES, SPLIT, bench, engines, geometric_mean, goal, report
from cleave.suite.plot import plot_suite
from cleave.suite.shapes import Workload
from cleave.suite.tables import array_table, memory_table

TINY = PRESETS["tiny"]
WORKLOADS = (
    Workload("one", "decode", (1,), 40, 24, "here, 1"),
    Workload("two", "prefill", (30,), 20, 8, "here, 2"),
    Workload("heads", "attention", (3, 3), 5, 12, "here, 3"),
)


def test_engines() -> None:
    found = engines(TINY)
    assert [config.name for config in found.values()] == ["2x4x4d2l1", "1x8x4d2l1", "1x8x4d2l2"]
    assert len({config.array.macs for config in found.values()}) == 1
    with pytest.raises(ConfigError, match="rows must be 2 to 1024, not 2048"):
        engines(EngineConfig(dataclasses.replace(PRESETS["large"].array, slabs=16, rows=128)))


def test_rtl_runs_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """All three on one engine, so that only one must be built."""
    monkeypatch.setattr(bench_module, "engines", lambda config: dict.fromkeys([SPLIT, *BASELINES], config))
    told: list[str] = []
    rows = bench(TINY, WORKLOADS, latency=7, bandwidth=3.0, rtl_cycles=10**6, advance=told.append)
    assert told == [workload.name for workload in WORKLOADS]
    assert all(row.checked == {SPLIT, *BASELINES} for row in rows)
    limit = min(row.split.cycles for row in rows)
    rows = bench(TINY, WORKLOADS, latency=7, bandwidth=3.0, rtl_cycles=limit)
    assert [bool(row.checked) for row in rows] == [row.split.cycles <= limit for row in rows]
    assert 0 < sum(bool(row.checked) for row in rows) < len(rows)


def test_a_wrong_bit_and_a_wrong_cycle_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = WORKLOADS[0]
    prediction = measure.predict_workload((1,), workload.k, workload.n, TINY)
    a, b, product = measure.operands(workload)
    np.testing.assert_array_equal(product, a.astype(int) @ b[0].astype(int))
    with Simulator(TINY) as simulator:
        measure.run_on_rtl(workload, prediction, simulator)
        with pytest.raises(measure.MismatchError, match="one on 2x4x4d2l1: the RTL takes"):
            measure.run_on_rtl(workload, dataclasses.replace(prediction, cycles=prediction.cycles + 1), simulator)
        product[0, 3] ^= 1
        monkeypatch.setattr(measure, "operands", lambda _workload: (a, b, product))
        with pytest.raises(measure.MismatchError, match="1 of 24 values differ from numpy's"):
            measure.run_on_rtl(workload, prediction, simulator)


def test_report(tmp_path: Path) -> None:
    rows = bench(TINY, WORKLOADS)
    values = json.loads(json.dumps(report(rows, latency=32, bandwidth=None)))
    assert values["memory_bytes_per_cycle"] == TINY.axi_bytes
    for row, found in zip(rows, values["workloads"], strict=True):
        assert found["m"] == sum(found["parts"]) and found["macs"] == found["m"] * found["k"] * found["n"]
        assert found["split"]["utilisation"] == found["macs"] / (TINY.array.macs * found["split"]["cycles"])
        assert found["split"]["reached"] == found["split"]["bound_cycles"] / found["split"]["cycles"]
        assert found["array_speedup_over_scale_sim"] == row.scale_sim_cycles / found["split"]["array_cycles"]
        assert found["speedup_over_monolithic_same_port"] == found["monolithic_same_port"]["cycles"] / found["split"]["cycles"]
        assert found["split"]["rtl"] is False
        lost = found["split"]["lost_cycles"]
        assert list(lost.values()) == sorted(lost.values(), reverse=True)
        if found["split"]["bound"] == "dram":
            above = found["split"]["cycles"] - found["split"]["bound_cycles"]
            assert sum(cycles for cause, cycles in lost.items() if cause != "parts in turn") == above
    assert set(values["geometric_means"]) == {"decode", "prefill", "attention"}
    assert geometric_mean([2, 8, 4]) == pytest.approx(4)
    # 1 x 40 on 8 rows is long, 3 x 5 short.
    assert [goal(row) for row in rows] == [0.97, 0.99, 0.90]

    for table in (memory_table(values), array_table(values)):
        assert len(table.rows) == len(rows) + 3
        assert {len(row) for row in table.rows} == {len(table.head)}
    plots = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for path in plots:
        plot_suite(values, path)
    assert plots[0].read_bytes() == plots[1].read_bytes()
    assert "<svg" in (text := plots[0].read_text()) and text.rstrip().endswith("</svg>")
