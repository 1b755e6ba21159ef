"""Bounds: by hand, and never above what a program takes; SCALE-Sim's count by hand."""

import dataclasses

import numpy as np
import pytest

from cleave.config import PRESETS, ArrayConfig, EngineConfig
from cleave.suite.bounds import bounds, scale_sim_cycles
from cleave.suite.measure import predict_workload

TINY = PRESETS["tiny"]
"""2 slabs of 4 x 4, dot 2, a bus of 8 bytes."""

WHOLE_WORD = EngineConfig(ArrayConfig(slabs=1, rows=16, columns=8, dot=4, load_rows=4), axi_data_width=256)
"""A beat is a stationary word: 4 rows of 8 columns."""


@pytest.mark.parametrize(
    ("parts", "k", "n", "rows", "columns", "cycles"),
    [
        # Each fold: R to load, M rows, R + C - 2 until the last result; the first cycle is counted as 0.
        ((128,), 256, 64, 32, 32, 8 * 2 * (32 + 128 + 32 + 32 - 2) - 1),
        ((1,), 4096, 4096, 128, 128, 32 * 32 * 383 - 1),
        ((31,), 33, 17, 32, 16, 4 * 109 - 1),
        ((3, 5), 8, 8, 8, 8, (25 - 1) + (27 - 1)),
    ],
)
def test_scale_sim(parts: tuple[int, ...], k: int, n: int, rows: int, columns: int, cycles: int) -> None:
    assert scale_sim_cycles(parts, k, n, ArrayConfig(slabs=1, rows=rows, columns=columns)) == cycles
    assert scale_sim_cycles(parts, k, n, ArrayConfig(slabs=4, rows=rows // 4, columns=columns)) == cycles


def test_by_hand() -> None:
    # 16 tiles of K, 4 of N, 10 rows each, on 2 slabs; loads: 10 * 16 words of 4 bytes and 64 rows of W for 4 tiles, two a cycle.
    found = bounds((10,), 64, 16, TINY)
    assert found.compute == 16 * 4 * 10 // 2 == 320
    assert TINY.segments == TINY.stationary_segments == 2
    assert found.scratchpad == max(10 * 16 // 2 + 64 * 4 // 2, 10 * 16 // 2)
    assert found.dram == (10 * 64 + 64 * 16 + 4 * 10 * 16) // 8
    assert found.cycles == max(found.compute, found.scratchpad, found.dram)
    # Short passes wait for their tile: 4 cycles for a row. With the operands swapped it is 16 columns of one moving operand.
    assert bounds((1,), 64, 16, TINY).compute == min(16 * 4 * 4 // 2, 16 * 1 * 16 // 2)
    # Parts have tiles of their own.
    assert bounds((1, 1, 1), 4, 4, TINY).compute == 3 * 4 // 2


def test_rows_of_a_word_by_hand() -> None:
    """A product that is bound by its stationary operand, four rows of which are written in a cycle."""
    found = bounds((4,), 128, 128, WHOLE_WORD)
    assert found.compute == 8 * 16 * 4
    assert found.scratchpad == 4 * 8 + 128 * 16 // 4
    prediction = predict_workload((4,), 128, 128, WHOLE_WORD, latency=1)
    assert found.cycles <= prediction.cycles < 2 * found.cycles


def test_bandwidth_counts_up_to_the_bus() -> None:
    """Of all bytes; or of those that are read, where reads and writes go at once."""
    found = [bounds((10,), 64, 16, TINY, bandwidth=b).dram for b in (0.5, 4, 8, 16, 32)]
    assert found == [4608, 576, 288, 208, 208]
    assert bounds((10,), 64, 16, TINY, bandwidth=0.5).name == "dram"


ENGINES = [
    TINY, TINY.monolithic(), TINY.monolithic(same_bandwidth=True), PRESETS["odd"], PRESETS["default"],
    EngineConfig(ArrayConfig(slabs=2, rows=16, columns=8, dot=8, load_rows=4), axi_data_width=512),
    WHOLE_WORD,
    EngineConfig(ArrayConfig(slabs=4, rows=2, columns=40, dot=1), axi_data_width=64),
]  # fmt: skip


@pytest.mark.parametrize("config", ENGINES, ids=lambda config: config.name)
def test_never_above_the_cycles(config: EngineConfig, rng: np.random.Generator) -> None:
    shapes = [(1, 1, 1), *(tuple(int(2**e) for e in rng.uniform(0, 7.5, 3)) for _ in range(40))]
    for m, k, n in shapes:
        bandwidth = float(rng.choice([1, 3, 1000]))
        prediction = predict_workload((m,), k, n, config, latency=int(rng.choice([1, 100])), bandwidth=bandwidth)
        assert 0 < prediction.reached <= 1, (m, k, n, bandwidth, prediction)
        assert 0 < prediction.array_utilisation <= 1 and prediction.array_cycles <= prediction.cycles


def test_compute_bound_is_reached_by_a_long_product() -> None:
    """It is not only low: a product of many rows comes near it."""
    config = EngineConfig(ArrayConfig(slabs=2, rows=4, columns=4, dot=2), axi_data_width=512)
    found = predict_workload((256,), 64, 4, config, latency=1)
    assert found.bounds.compute / found.array_cycles > 0.9


@pytest.mark.parametrize(
    ("name", "width", "parts", "k", "n"), [("medium", 1024, (128, 1, 1), 2048, 32), ("odd", 1024, (1, 20, 1), 2048, 5)]
)
def test_small_and_large_parts_may_have_different_operands_stationary(
    name: str, width: int, parts: tuple[int, ...], k: int, n: int
) -> None:
    config = dataclasses.replace(PRESETS[name], axi_data_width=width)
    prediction = predict_workload(parts, k, n, config)
    assert len({placed.layout.swapped for placed in prediction.gemm.shares}) == 2
    assert prediction.reached <= 1
    assert min(prediction.losses.values()) >= 0


@pytest.mark.parametrize("bandwidth", [0.25, 7.3, 20, 32, 1000])
@pytest.mark.parametrize("shape", [(256, 16, 256), (256, 1, 256), (1, 2, 1)])
def test_no_memory_beats_its_bound(shape: tuple[int, int, int], bandwidth: float) -> None:
    m, k, n = shape
    prediction = predict_workload((m,), k, n, PRESETS["default"], bandwidth=bandwidth)
    assert prediction.reached <= 1
    assert min(prediction.losses.values()) >= 0


def test_parts_without_rows_cost_nothing() -> None:
    assert bounds((16, 0, 0, 0), 4096, 24, PRESETS["default"]) == bounds((16,), 4096, 24, PRESETS["default"])
