"""Compiled GEMMs on the bit-exact model: equal to numpy, whatever the shape, the machine and the partition."""

import dataclasses
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleave.compile.choose import Memory, choose, cycles
from cleave.compile.gemm import CompiledGemm, compile_gemm
from cleave.compile.problem import Problem
from cleave.config import MAX_CONTRACTION, PRESETS, ArrayConfig, EngineConfig
from cleave.engine.isa import INSTRUCTION_BYTES, Instruction, Unit, decode
from cleave.model.machine import Machine, bits, units
from cleave.model.order import find
from cleave.numerics.requantise import RECORD, requantise

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "odd": PRESETS["odd"],
    "default": PRESETS["default"],
    "load_rows": EngineConfig(ArrayConfig(slabs=3, rows=8, columns=5, dot=4, load_rows=2), axi_data_width=64),
    "part_of_word": EngineConfig(ArrayConfig(slabs=2, rows=8, columns=10, dot=4, load_rows=4), axi_data_width=256),
    "one_slab": EngineConfig(ArrayConfig(slabs=1, rows=6, columns=7, dot=2)),
    "one_column": EngineConfig(ArrayConfig(slabs=5, rows=4, columns=1, dot=1), axi_data_width=256),
    "least": EngineConfig(
        ArrayConfig(slabs=2, rows=4, columns=6, dot=2), moving_depth=2, stationary_depth=5, accumulator_depth=2,
        parameter_depth=3, axi_data_width=64, queue_depth=2, token_bits=2,
    ),
    "two_of_each": EngineConfig(
        ArrayConfig(slabs=3, rows=4, columns=3, dot=1), moving_depth=4, stationary_depth=8, accumulator_depth=4,
        parameter_depth=3, token_bits=2,
    ),
    "lanes": EngineConfig(ArrayConfig(slabs=3, rows=8, columns=5, dot=4, load_rows=2, stationary_bits=4), axi_data_width=64),
    "lanes_plain": EngineConfig(
        ArrayConfig(slabs=2, rows=4, columns=6, dot=2, stationary_bits=4), moving_depth=4, stationary_depth=9,
        accumulator_depth=4, parameter_depth=6, axi_data_width=64, token_bits=2,
    ).plain(),
}  # fmt: skip


def instructions(gemm: CompiledGemm) -> list[Instruction]:
    step = INSTRUCTION_BYTES
    return [decode(gemm.program[start : start + step]) for start in range(0, len(gemm.program), step)]


def random_records(random: np.random.Generator, n: int) -> np.ndarray:
    records = np.zeros(n, RECORD)
    records["bias"] = random.integers(-(2**31), 2**31, n) >> random.integers(0, 31, n)
    records["multiplier"] = random.integers(0, 2**16, n)
    records["shift"] = random.integers(10, 40, n)
    return records


def check(config: EngineConfig, problem: Problem, partition: int | None, seed: int) -> CompiledGemm:
    """Compile, run on a machine full of garbage, and compare with numpy and with the race checker."""
    random = np.random.default_rng(seed)
    a = random.integers(-128, 128, (problem.m, problem.k), np.int8)
    parts = len(problem.parts)
    b = random.integers(*((-8, 8) if problem.pairs else (-128, 128)), (parts, problem.k, problem.n), np.int8)
    records = random_records(random, parts * problem.n) if problem.requantised else None
    gemm = compile_gemm(problem, config, partition=partition)

    memory = random.integers(0, 256, gemm.end, np.uint8)
    gemm.place(memory, a, b, records)
    machine = Machine(config, memory)
    for bank in (machine.moving, machine.stationary, machine.accumulators):
        bank[:] = random.integers(-128, 128, bank.shape, np.int8)
    machine.run(gemm.start, len(gemm.program) // INSTRUCTION_BYTES)

    starts = np.cumsum((0, *problem.parts))
    rows = [a[start:stop].astype(np.int64) for start, stop in pairwise(starts)]
    products = [(part @ matrix).astype(np.int32) for part, matrix in zip(rows, b.astype(np.int64), strict=True)]
    if records is not None:
        of_parts = records.reshape(parts, problem.n)
        products = [requantise(product, those, relu=problem.relu) for product, those in zip(products, of_parts, strict=True)]
    expected = np.concatenate(products)
    result = gemm.result(memory)
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)
    assert machine.useful_macs == problem.m * problem.k * problem.n
    assert find(instructions(gemm), config, gemm.end) == []
    return gemm


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.data())
def test_equals_numpy(name: str, data: st.DataObject) -> None:
    config = CONFIGS[name]
    most = {"least": 20, "two_of_each": 24, "default": 120}.get(name, 50)
    m, k, n = (data.draw(st.integers(1, most), size) for size in "mkn")
    requantised = data.draw(st.booleans(), "requantised")
    relu = requantised and data.draw(st.booleans(), "relu")
    partition = data.draw(st.one_of(st.none(), st.integers(1, config.array.slabs)), "partition")
    pairs = data.draw(st.integers(0, config.array.lanes - 1), "pairs")
    parts = ()
    if data.draw(st.booleans(), "a group"):
        parts = tuple(data.draw(st.lists(st.integers(0, m), min_size=1, max_size=5).filter(any), "parts"))
        m = sum(parts)
    problem = Problem(m, k, n, requantised, relu, pairs=pairs, parts=parts)
    check(config, problem, partition, data.draw(st.integers(0, 2**32), "seed"))


@pytest.mark.parametrize("name", ["odd", "default"])
def test_ragged_sizes_in_every_partition(name: str) -> None:
    config = CONFIGS[name]
    rows, columns = config.array.rows, config.array.columns
    shapes = product((1, rows + 1), (1, rows - 1, rows, rows + 1, 29), (1, columns - 1, columns + 1))
    for seed, (m, k, n) in enumerate(shapes):
        for partition in range(1, config.array.slabs + 1):
            gemm = check(config, Problem(m, k, n), partition, seed)
            assert gemm.partition == partition


@pytest.mark.parametrize(
    ("name", "m", "k", "n"),
    [
        ("default", 700, 61, 67),
        ("default", 3, 9000, 17),
        ("default", 33, 40, 1500),
        ("odd", 101, 307, 211),
        ("large", 300, 700, 600),
    ],
)
def test_larger_than_every_buffer(name: str, m: int, k: int, n: int) -> None:
    check(PRESETS[name], Problem(m, k, n, requantised=True), None, seed=m)


@pytest.mark.parametrize("partition", [1, 2, 3, 4])
def test_extreme_operands(partition: int) -> None:
    gemm = compile_gemm(Problem(3, MAX_CONTRACTION, 2), PRESETS["default"], partition=partition)
    memory = np.zeros(gemm.end, np.uint8)
    gemm.place(memory, np.full((3, MAX_CONTRACTION), -128, np.int8), np.full((MAX_CONTRACTION, 2), -128, np.int8))
    Machine(PRESETS["default"], memory).run(gemm.start, len(gemm.program) // INSTRUCTION_BYTES)
    assert (gemm.result(memory) == MAX_CONTRACTION * 2**14).all()


def test_refuses_what_could_overflow() -> None:
    with pytest.raises(ValueError, match=f"K must be at most {MAX_CONTRACTION} .* not {MAX_CONTRACTION + 1}"):
        Problem(1, MAX_CONTRACTION + 1, 1)


@pytest.mark.parametrize("parts", [(40,) * 6, (1, 30, 0, 2, 17), (3,) * 40])
@pytest.mark.parametrize("name", ["odd", "default"])
def test_groups(name: str, parts: tuple[int, ...]) -> None:
    """Heads of attention, experts, and more parts than slabs: also side by side, and with either operand stationary."""
    gemms = [check(CONFIGS[name], Problem(sum(parts), k, n, parts=parts), None, seed=k) for k, n in [(5, 3), (64, 33), (40, 64)]]
    assert len({gemm.layout.tiling for gemm in gemms}) == len(gemms)


@pytest.mark.parametrize(
    ("name", "parts", "k", "n", "kinds"),
    [
        ("default", (8, 100, 8, 3, 0, 100), 512, 160, {}),
        ("default", (120, 7, 7), 900, 200, {"requantised": True, "relu": True}),
        ("odd", (60, 2, 33, 2), 200, 90, {}),
        ("w4a8", (16, 130, 130), 512, 160, {"pairs": 1}),
    ],
)
def test_parts_of_each_size_apart(name: str, parts: tuple[int, ...], k: int, n: int, kinds: dict[str, Any]) -> None:
    """Small and large experts want tilings of their own; a program changes from one to the other without a race."""
    gemm = check(PRESETS[name], Problem(sum(parts), k, n, parts=parts, **kinds), None, seed=k)
    assert sorted(part for share in gemm.shares for part in share.parts) == [part for part, rows in enumerate(parts) if rows]
    assert len(gemm.shares) == len(set(parts) - {0})


def test_either_operand_is_stationary() -> None:
    """What fills columns better is stationary: 16 rows of A do, 3 columns of W do not."""
    tall = check(PRESETS["default"], Problem(16, 64, 300), None, seed=1)
    wide = check(PRESETS["default"], Problem(300, 64, 16), None, seed=2)
    assert {tall.layout.swapped, wide.layout.swapped} == {True, False}


@pytest.mark.parametrize(
    ("parts", "message"), [((3, 3), r"add up to M = 5, not \(3, 3\)"), ((6, -1), "add up to M = 5")]
)  # fmt: skip
def test_refuses_parts_that_are_not_the_rows(parts: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Problem(5, 2, 2, parts=parts)


def test_refuses_a_window_that_is_too_small() -> None:
    """What the least engine can hold must fit the memory, too."""
    config, problem = CONFIGS["least"], Problem(3, 5, 40, requantised=True)
    compile_gemm(problem, config)
    with pytest.raises(ValueError, match="the problem must fit the backend's memory of 100 bytes, not"):
        compile_gemm(problem, config, window=100)


@pytest.mark.parametrize("partition", [0, 5, -1])
def test_refuses_a_partition_that_is_not_there(partition: int) -> None:
    with pytest.raises(ValueError, match=f"partition must be 1 to 4 slabs, not {partition}"):
        compile_gemm(Problem(1, 1, 1), PRESETS["default"], partition=partition)


def test_base_moves_everything() -> None:
    config, problem = PRESETS["tiny"], Problem(5, 9, 6, requantised=True)
    low, high = compile_gemm(problem, config), compile_gemm(problem, config, base=1000)
    assert high.layout.moving == 1024
    assert high.end == low.end + 1024


@pytest.mark.parametrize(("name", "most"), [("default", 0.9), ("medium", 0.6)])
def test_a_large_problem_is_near_the_roof(name: str, most: float) -> None:
    size, config, memory = 4096, PRESETS[name], Memory()
    assert size**3 / config.array.macs / cycles(choose(Problem(size, size, size), config, memory=memory), memory) > most


DROPPED = [
    ("tiny", 40, 20, 40, 1),
    ("odd", 60, 60, 80, None),
    ("default", 100, 100, 250, 2),
    ("two_of_each", 9, 20, 20, None),
]


@pytest.mark.parametrize("requantised", [False, True])
@pytest.mark.parametrize(("name", "m", "k", "n", "partition"), DROPPED)
def test_every_token_is_needed(name: str, m: int, k: int, n: int, partition: int | None, requantised: bool) -> None:
    """Without any one of its tokens a program has a race, which the checker finds.

    Those of a DRAIN's parameters may be spared: it is waited for twice, by the MATMUL that overwrites its accumulators and by the
    LOAD that replaces its parameters, and when one of these comes before the other, so does its token. And it waits for their
    LOAD, and for a MATMUL that may have waited for a later one.
    """
    config = CONFIGS[name]
    gemm = compile_gemm(Problem(m, k, n, requantised), config, partition=partition)
    program = instructions(gemm)
    pairs = tokens(program)
    random = np.random.default_rng(1)
    for number in random.choice(len(pairs), min(12, len(pairs)), replace=False):
        giver, taker, source, target = pairs[number]
        mutant = list(program)
        mutant[giver] = edited(mutant[giver], signal=mutant[giver].signal & ~(1 << target))
        assert {finding.kind for finding in find(mutant, config, gemm.end)} >= {"deadlock"}
        mutant[taker] = edited(mutant[taker], wait=mutant[taker].wait & ~(1 << source))
        kinds = {finding.kind for finding in find(mutant, config, gemm.end)}
        spared = requantised and (source == Unit.DRAIN or (source, target) == (Unit.LOAD, Unit.DRAIN))
        assert kinds == {"race"} or (spared and not kinds), (giver, taker, source, target)


def edited(instruction: Instruction, **changes: int) -> Instruction:
    return dataclasses.replace(instruction, values={**instruction.values, **changes})


def tokens(program: list[Instruction]) -> list[tuple[int, int, int, int]]:
    """Give each token's giving and taking instruction, and their units."""
    given: dict[tuple[int, int], list[int]] = {}
    pairs = []
    for index, instruction in enumerate(program):
        taker, giver = units(instruction)
        pairs += [(given[source, taker].pop(0), index, source, taker) for source in bits(instruction.wait)]
        for target in bits(instruction.signal):
            given.setdefault((giver, target), []).append(index)
    return pairs
