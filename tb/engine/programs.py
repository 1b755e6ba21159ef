"""Programs for the whole engine, instruction by instruction, and the random ones that its tests run."""

from itertools import product
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cleave.config import EngineConfig
from cleave.engine.isa import Destination, Opcode, Output, Unit, encode, slab_bit
from cleave.numerics.drain import block_row_bytes
from cleave.numerics.formats import ELEMENTS, TARGETS
from tb.engine.rounded_reference import random_records

PROGRAM = 2**18
"""Byte offset of the program in the window."""

MEMORY = 2**19
"""Bytes of the window."""


MOVING_SCALES, STATIONARY_SCALES = 2**18 + 2**16, 2**18 + 2**17
"""Where in the window `banks` finds scales."""


RECORDS, ROW_RECORDS = 2**18 + 3 * 2**16, 2**18 + 3 * 2**16 + 2**15
"""Where in the window `records` finds the drain's parameters."""

DRAINED = 2**17
"""Where in the window `random_drains` puts results."""


class Instruction(NamedTuple):
    """An instruction by its fields."""

    opcode: Opcode
    fields: dict[str, int]


def load(destination: Destination = Destination.MOVING, /, **fields: int) -> Instruction:
    """One byte into slab 0, unless fields say otherwise."""
    slabs = {} if destination == Destination.PARAMETERS else {"slabs": 1}
    return Instruction(Opcode.LOAD, {"destination": destination, "rows": 1, "row_bytes": 1, **slabs, **fields})


def matmul(**fields: int) -> Instruction:
    """One row on slab 0, unless fields say otherwise."""
    return Instruction(Opcode.MATMUL, {"count": 1, "rows": 1, "passes": 1, **fields})


def drain(output: Output = Output.INT32, /, **fields: int) -> Instruction:
    """One accumulator of slab 0 to byte 0, unless fields say otherwise."""
    place = {"memory": 1} if output == Output.MOVING else {}
    return Instruction(Opcode.DRAIN, {"output": output, "rows": 1, "columns": 1, **place, **fields})


def place(memory: NDArray[np.uint8], program: list[Instruction], offset: int = PROGRAM) -> tuple[int, int]:
    """Write a program into the window; give its offset and length, what `run` takes."""
    code = b"".join(encode(opcode, **fields) for opcode, fields in program)
    memory[offset : offset + len(code)] = np.frombuffer(code, np.uint8)
    return offset, len(program)


def banks(config: EngineConfig) -> list[Instruction]:
    """Fill all moving and stationary banks from memory, each slab's differently, and overwrite all accumulators.

    Each slab's MATMULs wait for the loads; the rest of a program needs no token for them.
    """
    array = config.array
    every_slab = sum(slab_bit(s) for s in range(array.slabs))
    width, line = array.slabs * array.rows, array.slabs * array.columns
    tiles = config.stationary_depth // config.tile_words
    loads = [load(rows=config.moving_depth, row_bytes=width, stride=width)]
    loads += [
        load(Destination.STATIONARY, address=tile * config.tile_words, rows=array.rows, row_bytes=line,
             memory=2**16 + tile * array.rows * line, stride=line)
        for tile in range(tiles)
    ]  # fmt: skip
    if config.block_scales:
        line = 1 + array.slabs
        loads.append(load(Destination.MOVING_SCALES, rows=config.moving_depth, row_bytes=line, memory=MOVING_SCALES, stride=line))
        loads += [
            load(Destination.STATIONARY_SCALES, address=tile * config.tile_words + array.load_cycles + lane, rows=line,
                 row_bytes=array.columns, memory=STATIONARY_SCALES + (tile * array.lanes + lane) * line * array.columns,
                 stride=array.columns)
            for tile in range(tiles) for lane in range(array.lanes)
        ]  # fmt: skip
    loads[-1].fields["signal"] = every_slab
    rows = min(config.accumulator_depth, config.moving_depth)
    clears = [
        matmul(first=s, rows=min(rows, config.accumulator_depth - start), accumulator=start, pairs=array.lanes - 1,
               wait=0 if start else 1 << Unit.LOAD)
        for s in range(array.slabs) for start in range(0, config.accumulator_depth, rows)
    ]  # fmt: skip
    return [*loads, *clears]


def fill(config: EngineConfig, memory: NDArray[np.uint8], seed: int) -> None:
    """Fill the window with random bytes, scales for `banks`, mostly a few steps below their anchors, and what `records` loads."""
    random = np.random.default_rng(seed)
    memory[:] = random.integers(0, 256, len(memory), np.uint8)
    array, line = config.array, 1 + config.array.slabs
    tiles = config.stationary_depth // config.tile_words
    shapes = {MOVING_SCALES: (config.moving_depth, line, 1), STATIONARY_SCALES: (tiles * array.lanes, line, array.columns)}
    for start, shape in shapes.items():
        scales = random.integers(200, 256, shape)
        below = np.where(random.random(shape) < 0.05, random.integers(0, 200, shape), random.integers(0, 9, shape))
        scales[:, 1:] = scales[:, :1] - below[:, 1:]
        memory[start : start + scales.size] = scales.reshape(-1)
    for start in (RECORDS, ROW_RECORDS):
        words = random_records(random, (config.parameter_depth, config.drain_lanes)).view(np.uint8).reshape(-1)
        memory[start : start + len(words)] = words


def records(config: EngineConfig) -> list[Instruction]:
    """Fill the drain's parameter memories."""
    width = 8 * config.drain_lanes
    places = {Destination.PARAMETERS: RECORDS} | ({Destination.ROW_PARAMETERS: ROW_RECORDS} if config.block_scales else {})
    return [
        load(destination, slabs=0, rows=config.parameter_depth, row_bytes=width, memory=memory, stride=width)
        for destination, memory in places.items()
    ]


def results(config: EngineConfig) -> list[Instruction]:
    """Drain all accumulators of every slab to the window's bytes from 0 on, when each slab has given a token."""
    array = config.array
    size = config.accumulator_depth * array.columns * 4
    return [
        drain(slab=s, lane=lane, rows=config.accumulator_depth, columns=array.columns, memory=(s * array.lanes + lane) * size,
              stride=array.columns * 4, wait=0 if lane else slab_bit(s))
        for s in range(array.slabs) for lane in range(array.lanes)
    ]  # fmt: skip


def random_matmuls(config: EngineConfig, rng: Random, count: int) -> list[Instruction]:
    """Draw MATMULs on random partitions, most of them short and into few accumulator rows; end with one per slab."""
    array = config.array
    tiles = config.stationary_depth // config.tile_words
    program = []
    for number in range(count + array.slabs):
        ends = number - count
        first = rng.randrange(array.slabs) if ends < 0 else ends
        rows = rng.choice([1, 1, 1, 2, 2, 3, 4, 6, min(12, config.accumulator_depth // 2)])
        passes = rng.choice([1, 1, 2, 3, 6])
        step = min(rng.choice([0, 0, 0, 1, 2]), (config.accumulator_depth - rows) // passes)
        span = rng.choice([4, config.accumulator_depth])
        program.append(matmul(
            first=first,
            count=rng.randint(1, array.slabs - first) if ends < 0 else 1,
            rows=rows, passes=passes,
            moving=rng.randrange(config.moving_depth - rows - 2 * passes), moving_step=rng.randrange(3),
            stationary=rng.randrange(tiles - passes) * config.tile_words,
            stationary_step=rng.randrange(2) * config.tile_words,
            scaled=rng.randrange(2) if config.block_scales else 0, pairs=rng.choice([0, 1, 2]) if array.lanes > 1 else 0,
            shift=max(0, config.exact_shift - rng.randrange(16)),
            accumulator=rng.randrange(max(1, min(span, config.accumulator_depth) - rows - step * (passes - 1) + 1)),
            accumulator_step=step, accumulate_first=rng.randrange(2), accumulate_rest=rng.randrange(2),
            signal=0 if ends < 0 else 1 << Unit.DRAIN,
            row_macs=rng.randrange(2**20), last_row_macs=rng.randrange(2**20),
        ))  # fmt: skip
    return program


def random_drains(config: EngineConfig, rng: Random, count: int) -> list[Instruction]:
    """Draw DRAINs to memory from every slab, `count` each, when each slab has given a token."""
    array, depth = config.array, config.parameter_depth
    outputs = [Output.INT32, Output.INT8, *([Output.ROUNDED, *[Output.BLOCKS] * 3] if config.block_scales else [])]
    program, memory = [], DRAINED
    for s, number in product(range(array.slabs), range(count)):
        output, rows = rng.choice(outputs), rng.choice([1, 2, config.accumulator_depth])
        columns = rng.choice([array.columns, rng.randint(1, array.columns)])
        fields = {"slab": s, "lane": rng.randrange(array.lanes), "rows": rows, "columns": columns}
        fields |= {"accumulator": rng.randrange(config.accumulator_depth - rows + 1), "wait": 0 if number else slab_bit(s)}
        if output != Output.INT32:
            fields |= {"relu": rng.randrange(2), "parameters": rng.randrange(depth - -(-columns // config.drain_lanes) + 1)}
        size = columns * (4 if output == Output.INT32 else 1)
        if output in (Output.ROUNDED, Output.BLOCKS):
            target = rng.randrange(len(ELEMENTS if output == Output.BLOCKS else TARGETS))
            size = block_row_bytes(columns) if output == Output.BLOCKS else columns * TARGETS[target].storage_bytes
            fields |= {"target": target, "mode": rng.randrange(4)}
            fields |= {"scale_up" if output == Output.BLOCKS else "saturate": rng.randrange(2)}
            fields |= {"row_parameters": rng.randrange(depth - -(-rows // config.drain_lanes) + 1)}
        stride = size + rng.choice([0, 1, 7])
        program.append(drain(output, memory=memory, stride=stride, **fields))
        memory += rows * stride + rng.randrange(2)
    return program
