"""Trains of passes over resident operands: what the array does when memory is no limit.

All operands are loaded first. Then every train's MATMULs run, in partitions that do not overlap, and last the
accumulators are drained. The hardware's ARRAY_CYCLES count from the first pass to the last result, so they measure the
array alone.
"""

from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from ..config import ACCUMULATOR_BYTES, MAX_CONTRACTION, EngineConfig
from ..engine.isa import Destination, Output
from ..numerics.formats import lane_integers
from .layout import align, side_by_side
from .program import Program


@dataclass(frozen=True)
class Train:
    """`passes` passes of `rows` moving rows on the partition of `count` slabs from slab `first`.

    The passes add up along one long contraction, or, if not `accumulate`, each is a problem of its own. Each contracts
    over `depth` rows of the array; by default, 0, over all of its partition's. They take their operands in turn from as
    many as fit the banks. With `pairs`, a number in `PAIRS`, each byte of a stationary tile is two operands.
    """

    first: int
    count: int
    rows: int
    passes: int
    accumulate: bool = True
    depth: int = 0
    pairs: int = 0


@dataclass(frozen=True)
class Resident:
    """A program of trains, with its memory.

    Attributes
    ----------
    memory
        The window's bytes from 0: operands, room for results, program.
    offset, length
        Byte offset of the program, and its instructions.
    results
        Byte offset of each train's result, int32[lanes, rows, columns].
    expected
        What stands there afterwards.
    useful_macs
        Of all trains.
    """

    memory: NDArray[np.uint8]
    offset: int
    length: int
    results: list[int]
    expected: list[NDArray[np.int32]]
    useful_macs: int

    def computed(self, memory: NDArray[np.uint8]) -> list[NDArray[np.int32]]:
        """Read the results out of the window's bytes."""
        return [
            memory[start : start + want.size * ACCUMULATOR_BYTES].view("<i4").reshape(want.shape)
            for start, want in zip(self.results, self.expected, strict=True)
        ]


def compile_trains(config: EngineConfig, trains: list[Train], *, seed: int = 0) -> Resident:
    """Compile trains, with random operands.

    Raises
    ------
    ValueError
        If partitions overlap or are not in the array, a train's rows do not fit a bank, or its sums could overflow.
    """
    array = config.array
    _check(config, trains)
    random = np.random.default_rng(seed)
    program = Program()
    parts: list[NDArray[np.uint8]] = []
    used = 0

    def place(data: NDArray[np.generic]) -> int:
        """Add bytes to the memory; give their offset."""
        nonlocal used
        raw = data.reshape(-1).view(np.uint8)
        parts.append(np.pad(raw, (0, align(len(raw)) - len(raw))))
        used += len(parts[-1])
        return used - len(parts[-1])

    load = 0
    residents = []
    expected = []
    for train in trains:
        depth, line = _depth(config, train), train.count * array.columns
        resident = min(train.passes, config.moving_depth // train.rows, config.stationary_depth // array.load_cycles)
        residents.append(resident)
        a = random.integers(-128, 128, (resident, train.rows, depth), np.int8)
        w = random.integers(-128, 128, (resident, depth, array.columns), np.int8)
        for number in range(resident):
            program.load(
                Destination.MOVING, slabs=1 << train.first, address=number * train.rows, rows=train.rows,
                row_bytes=depth, memory=place(a[number]), stride=depth,
            )  # fmt: skip
            load = program.load(
                Destination.STATIONARY, slabs=1 << train.first, address=number * array.load_cycles, rows=array.rows,
                row_bytes=line, memory=place(side_by_side(w[number], array)), stride=line,
            )  # fmt: skip
        products = np.stack([a.astype(np.int64) @ of_lane for of_lane in lane_integers(w, train.pairs)], axis=1)
        whole, rest = divmod(train.passes, resident)
        total = whole * products.sum(axis=0) + products[:rest].sum(axis=0)
        expected.append((total if train.accumulate else products[rest - 1]).astype(np.int32))

    last: list[int] = [0] * len(trains)
    rounds = zip_longest(*(range(0, train.passes, resident) for train, resident in zip(trains, residents, strict=True)))
    for starts in rounds:
        for number, (train, start) in enumerate(zip(trains, starts, strict=True)):
            if start is None:
                continue
            macs = _row_macs(config, train)
            last[number] = program.matmul(
                train.first, train.count, rows=train.rows, passes=min(residents[number], train.passes - start),
                moving=0, moving_step=train.rows, stationary=0, stationary_step=array.load_cycles, accumulator=0,
                accumulate_first=train.accumulate and start > 0, accumulate_rest=train.accumulate,
                shift=config.exact_shift + (config.pair_shift if train.pairs else 0), pairs=train.pairs, row_macs=macs,
                last_row_macs=macs, after=[load],
            )  # fmt: skip

    results = []
    for train, want, matmul in zip(trains, expected, last, strict=True):
        results.append(place(np.zeros_like(want)))
        for lane, of_lane in enumerate(want):
            program.drain(
                Output.INT32, slab=train.first + train.count - 1, lane=lane, accumulator=0, rows=train.rows, columns=array.columns,
                memory=results[-1] + lane * of_lane.nbytes, stride=array.columns * ACCUMULATOR_BYTES, after=[matmul],
            )  # fmt: skip

    offset = place(np.frombuffer(program.encode(), np.uint8))
    macs = sum(train.rows * train.passes * _row_macs(config, train) for train in trains)
    return Resident(np.concatenate(parts), offset, len(program), results, expected, macs)


def _depth(config: EngineConfig, train: Train) -> int:
    return train.depth or train.count * config.array.rows


def _row_macs(config: EngineConfig, train: Train) -> int:
    return _depth(config, train) * config.array.columns * (2 if train.pairs else 1)


def _check(config: EngineConfig, trains: list[Train]) -> None:
    slabs = config.array.slabs
    free = set(range(slabs))
    for train in trains:
        members = set(range(train.first, train.first + train.count))
        if not members or not members <= free:
            raise ValueError(
                f"partitions must be disjoint runs of slabs 0 to {slabs - 1}, not {sorted(members)} as well"
            )
        free -= members
        most = min(config.moving_depth, config.accumulator_depth)
        if not (1 <= train.rows <= most and train.passes >= 1):
            raise ValueError(f"rows must be 1 to {most} and passes at least 1, not {train.rows} and {train.passes}")
        full = train.count * config.array.rows
        if not full - config.array.rows < _depth(config, train) <= full:
            raise ValueError(f"depth must reach the partition's last slab and at most {full} rows, not {train.depth}")
        if train.accumulate and train.passes * _depth(config, train) > MAX_CONTRACTION:
            raise ValueError(f"K must be at most {MAX_CONTRACTION} for int32 sums that cannot overflow")
