"""The choice of a tiling and a schedule, by what the timing model says of each program.

All tilings are ranked by their *pace*: loads, multiplications and drains one after the other, each as soon as its operands, its
slot and the bus let it (`pace.cpp`). Programs of the best are written, and timed by the model that equals the hardware; the
quickest is chosen. Of a long problem only the first blocks are timed, and the rest goes on at their pace.
"""

import ctypes
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import islice, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..config import DRAM_LATENCY, EngineConfig
from ..engine.isa import Counter as PerformanceCounter
from .layout import Layout
from .pipeline import PIPELINE, schedule
from .problem import Problem, cuts
from .schedule import Schedule
from .tiling import Tiling
from .writer import Writer

__all__ = ["Choice", "Memory", "Share", "choose", "ranked", "share"]

SOURCE = Path(__file__).with_name("pace.cpp")


@dataclass(frozen=True)
class Memory:
    """What a program's memory is like: latency in cycles, and bytes a cycle, by default a beat."""

    latency: int = DRAM_LATENCY
    bandwidth: float | None = None


NEAR = 1.25
"""Times the least pace that tilings have at most which are timed."""

BURDENS = {"bus": 0.03, "array": 0.02, "instructions": 2.0}
"""Cycles by which a tiling is ranked behind its pace, for each in which the bus or the array is busy, and for each instruction."""

LIKE = 1.002
"""Times the least cycles that are as good, if the array is busy for less of them."""

ALIKE = 24
"""Tilings with the same groups that are timed."""

LEAST_TIMED, BUDGET = 6, 6000
"""Tilings that are timed, if there are so many, and instructions, after which no more are."""

BEST, AHEAD = 3, (5, 2, 20)
"""Tilings that are timed again with loads more or less ahead of their use, and the multiplications that they are ahead."""

FEW, LEAST = 3000, 500
"""Instructions of a program that is timed whole, or of its first blocks; and at least of those of parts of each size."""

UNEVEN = 20000
"""Likewise of one whose parts have different rows."""

MOST_STEPS = 4000
"""MATMULs, of all groups, in which the pace of a tiling is found."""


@dataclass(frozen=True)
class Choice:
    """A tiling, and the schedule of its iterations."""

    tiling: Tiling
    schedule: Schedule


@dataclass(frozen=True)
class Share:
    """Parts of a problem, by their numbers, that are cut alike."""

    parts: tuple[int, ...]
    choice: Choice


def share(problem: Problem, config: EngineConfig, partition: int | None = None, memory: Memory = Memory()) -> list[Share]:
    """Give the choice for a problem; of a ragged group one for the parts of each size, if that takes fewer cycles.

    Raises
    ------
    ValueError
        As `choose` does.
    """
    whole = choose(problem, config, partition, memory)
    together = [Share(tuple(range(len(problem.parts))), whole)]
    sizes = set(problem.parts) - {0}
    if len(sizes) == 1 or problem.scaling is not None:
        return together
    apart = []
    for rows in sorted(sizes):
        parts = tuple(part for part, its in enumerate(problem.parts) if its == rows)
        apart.append(Share(parts, choose(problem.only(parts), config, partition, memory)))
    return apart if sum(cycles(each.choice, memory) for each in apart) < cycles(whole, memory) else together


def choose(problem: Problem, config: EngineConfig, partition: int | None = None, memory: Memory = Memory()) -> Choice:
    """Give the tiling and schedule with the fewest cycles, with partitions of `partition` slabs if that is given.

    Raises
    ------
    ValueError
        If the array has no such partition, or no tiling fits the engine's memories.
    """
    slabs = config.array.slabs
    if partition is not None and not 1 <= partition <= slabs:
        raise ValueError(f"partition must be 1 to {slabs} slabs, not {partition}")
    counts = tuple(range(1, slabs + 1)) if partition is None else (int(partition),)
    return _choose(problem, config, counts, memory)


@lru_cache(maxsize=4096)
def _choose(problem: Problem, config: EngineConfig, counts: tuple[int, ...], memory: Memory) -> Choice:
    timed: list[tuple[float, int, Choice]] = []

    def time(tiling: Tiling, ahead: int) -> None:
        choice = Choice(tiling, schedule(tiling, memory.latency, ahead))
        timed.append((cycles(choice, memory), len(timed), choice))

    written = 0
    for tiling in ranked(problem, config, counts, memory):
        time(tiling, AHEAD[0])
        written += min(tiling.totals.instructions, FEW)
        if len(timed) >= LEAST_TIMED and written > BUDGET:
            break
    if not timed:
        shape = f"{problem.m} x {problem.k} x {problem.n}"
        raise ValueError(f"the engine's memories must hold one tile of a problem, and do not of {shape}")
    for (_, _, choice), ahead in product(sorted(timed)[:BEST], AHEAD[1:]):
        time(choice.tiling, ahead)
    best = LIKE * min(timed)[0]
    return min((choice.tiling.totals.array, *rest, choice) for *rest, choice in timed if rest[0] <= best)[-1]


def ranked(problem: Problem, config: EngineConfig, counts: tuple[int, ...], memory: Memory) -> Iterator[Tiling]:
    """Give the tilings whose pace is at most `NEAR` times the best one's, by their pace."""
    families = list(tilings(problem, config, counts))
    if not families:
        return
    candidates = np.concatenate([_candidates(family, memory) for family in families])
    members = [(family, index) for family in families for index in range(len(family.sets))]
    order = np.argsort(candidates["bound"], kind="stable")
    candidates = np.ascontiguousarray(candidates[order])
    paces = np.zeros(len(candidates))
    _library().cleave_pace(candidates.ctypes.data, len(candidates), paces.ctypes.data)
    burdened = paces + sum(weight * candidates[name] for name, weight in BURDENS.items())
    alike: Counter[int] = Counter()
    for index in np.argsort(burdened, kind="stable"):
        if burdened[index] > NEAR * burdened.min():
            break
        family, member = members[order[index]]
        if alike[id(family)] < ALIKE:
            alike[id(family)] += 1
            yield family.member(member)


def tilings(problem: Problem, config: EngineConfig, counts: tuple[int, ...]) -> Iterator[Tiling]:
    """Give families of all tilings that are tried, of the problem and of the one with the operands exchanged."""
    swapped = problem.swapped
    for each, count in product((problem,) if swapped in (None, problem) else (problem, swapped), counts):
        side_by_side = config.array.slabs // count
        parts = sum(1 for rows in each.parts if rows)
        column_tiles = cuts(each.n, config.array.columns * each.lanes)
        for part_groups, row_groups in product(range(1, side_by_side + 1), repeat=2):
            most = side_by_side // (part_groups * row_groups)
            if not most or part_groups > parts or row_groups > max(each.parts):
                continue
            for column_groups in {min(most, column_tiles), 1}:
                column_sets = cuts(column_tiles, column_groups)
                blocks = _blocks(each, config, row_groups, column_sets)
                total = cuts(each.k, count * config.array.rows)
                passes = sorted({min(2**power, total) for power in range(total.bit_length() + 1)} | {3} & set(range(total)))
                grid = np.array([
                    (tile_rows, sets, chunk, order)
                    for (sets, tile_rows), chunk, order in product(blocks, passes, (False, True))
                    if not order or sets < column_sets  # with all sets in a block there is but one order
                ]).T  # fmt: skip
                if not grid.size:
                    continue
                tile_rows, sets, chunk, order = grid
                groups = part_groups, row_groups, column_groups
                family = Tiling(config, each, count, *groups, tile_rows, sets, chunk, order == 1)
                legal = family.legal
                if legal.any():
                    yield replace(
                        family, tile_rows=tile_rows[legal], sets=sets[legal], passes=family.passes[legal],
                        rows_first=family.rows_first[legal],
                    )  # fmt: skip


def _blocks(problem: Problem, config: EngineConfig, row_groups: int, column_sets: int) -> set[tuple[int, int]]:
    """Give sets and tile heights: heights that cut M evenly, with one or two blocks' accumulators."""
    found, tallest = set(), max(problem.parts)
    for sets in {min(2**power, column_sets) for power in range(8)} | {3, 5, 6, 7} & set(range(column_sets)):
        for blocks in (1, 2):
            most = min(config.accumulator_depth // (sets * blocks), config.moving_depth)
            if problem.scaling is not None:
                most = min(most, config.parameter_depth // row_groups * config.drain_lanes)
            if most:
                tiles = cuts(tallest, row_groups * most)
                for more in (tiles, tiles + 1, tiles + 2, 2 * tiles, 4 * tiles):
                    found.add((sets, cuts(tallest, row_groups * more)))
    return found


WHOLE = (
    "chunks", "sets", "column_sets", "parts", "row_blocks", "rows_first", "moving_slots", "stationary_slots", "accumulator_slots",
)  # fmt: skip
REAL = (
    "bound", "bus", "array", "instructions", "trip", "flight", "moving_cycles", "stationary_cycles", "array_cycles", "drain_cycles",
    "store_share",
)  # fmt: skip
CANDIDATE = np.dtype([(name, np.int64) for name in WHOLE] + [(name, np.float64) for name in REAL])
"""What the pace of a tiling follows from; see `_candidates`."""


def _candidates(family: Tiling, memory: Memory) -> NDArray[np.void]:
    """Give what the pace of each tiling of a family follows from."""
    totals, config = family.totals, family.config
    candidates = np.zeros(len(family.sets), CANDIDATE)
    slow = max(1.0, config.axi_bytes / memory.bandwidth) if memory.bandwidth else 1.0
    parts = len(family.part_sets)
    row_blocks = cuts(totals.row_blocks, parts)  # of a part, on average
    tiles = parts * row_blocks * family.column_sets
    members = {
        "chunks": family.chunks, "sets": family.sets, "column_sets": family.column_sets,
        "parts": parts, "row_blocks": row_blocks, "rows_first": family.rows_first, "moving_slots": family.moving_slots,
        "stationary_slots": family.stationary_slots, "accumulator_slots": family.accumulator_slots,
        "bus": totals.bus * slow, "array": totals.array, "instructions": totals.instructions,
        "bound": np.maximum(np.maximum(totals.array, totals.drain), totals.bus * slow),
        "trip": memory.latency + PIPELINE, "flight": config.array.row_latency + PIPELINE,
        "moving_cycles": slow * totals.moving / totals.moving_loads,
        "stationary_cycles": slow * totals.stationary / totals.stationary_loads,
        "array_cycles": totals.array / (tiles * family.chunks),
        "drain_cycles": np.maximum(totals.drain, slow * totals.store) / tiles,
        "store_share": np.minimum(1, slow * totals.store / totals.drain),
    }  # fmt: skip
    for name, values in members.items():
        candidates[name] = values
    return candidates


@cache
def _library() -> ctypes.CDLL:
    from ..sim.build import compiled, cpp_header  # noqa: PLC0415  hardware stands behind it

    header = cpp_header({"MOST_STEPS": MOST_STEPS, "NEAR": NEAR}, {"Candidate": CANDIDATE})
    library = ctypes.CDLL(str(compiled(SOURCE, {"pace_layout.h": header})))
    library.cleave_pace.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]
    library.cleave_pace.restype = None
    return library


@lru_cache(maxsize=4096)
def cycles(choice: Choice, memory: Memory, instructions: int = FEW) -> float:
    """Give the cycles of a program by the timing model, or near it: of a long one the first blocks' pace, for each size of parts.

    So many instructions of a long one are timed, about.
    """
    tiling = choice.tiling
    alike: dict[tuple[int, ...], list[int]] = {}
    for parts in tiling.part_sets:
        alike.setdefault(tuple(tiling.problem.parts[part] for part in parts), []).extend(parts)
    if len(alike) > 1:  # the first blocks' pace is not that of the others
        if tiling.totals.instructions <= UNEVEN:
            return _timed(choice, None, memory)
        tilings = [replace(tiling, problem=tiling.problem.only(tuple(parts))) for parts in alike.values()]
        return sum(cycles(replace(choice, tiling=each), memory, max(FEW // len(alike), LEAST)) for each in tilings)
    blocks, rows = tiling.totals.iterations // tiling.chunks, tiling.totals.row_blocks
    of_block = tiling.totals.instructions // blocks
    round_ = blocks // rows if tiling.rows_first else rows  # blocks, after which all comes again
    round_ = round_ if 2 * round_ * of_block <= instructions else 1
    few = max(2, instructions // (round_ * of_block)) * round_
    if blocks <= few or tiling.totals.instructions <= instructions:
        return _timed(choice, None, memory)
    half = few // round_ // 2 * round_
    some, more = _timed(choice, half, memory), _timed(choice, few, memory)
    return more + (blocks - few) * (more - some) / (few - half)


def _timed(choice: Choice, blocks: int | None, memory: Memory) -> int:
    from ..model.timing import predict  # noqa: PLC0415  hardware stands behind it

    layout = Layout(choice.tiling)
    program = Writer(layout, choice.schedule).write(islice(choice.tiling.blocks(), blocks)).columns()
    timing = predict(program, choice.tiling.config, latency=memory.latency, bandwidth=memory.bandwidth, offset=layout.program)
    return timing.counters[PerformanceCounter.CYCLES]
