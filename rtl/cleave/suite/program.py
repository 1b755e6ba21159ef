"""What a program says without being run: its MATMULs alone, what it moves between memories and registers, how it is cut."""

from collections import Counter as Tally
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..config import OPERAND_BITS, EngineConfig
from ..engine.isa import INSTRUCTION_BYTES, PLACES, Destination, Opcode
from ..model.timing import bits

__all__ = ["Cut", "Traffic", "cut", "matmuls_alone", "traffic"]

_WORD = 64


def _instructions(program: bytes, opcode: Opcode) -> NDArray[np.uint64]:
    words = np.frombuffer(program, "<u8").reshape(-1, INSTRUCTION_BYTES * 8 // _WORD)
    return words[words[:, 0] & 0xFF == opcode]


def _field(words: NDArray[np.uint64], opcode: Opcode, name: str) -> NDArray[np.int64]:
    return bits(words, *PLACES[opcode][name]).astype(np.int64)


def matmuls_alone(program: bytes) -> bytes:
    """Give the MATMULs of a program without their tokens: what the array does when its operands are always there.

    What they compute has no meaning, but the time that they take is that of the array alone.
    """
    words = _instructions(program, Opcode.MATMUL).copy()
    for name in ("wait", "signal"):
        position, width = PLACES[Opcode.MATMUL][name]
        for bit in range(position, position + width):
            words[:, bit // _WORD] &= ~np.uint64(1 << bit % _WORD)
    return words.tobytes()


@dataclass(frozen=True)
class Traffic:
    """What a program moves inside the engine: proxies of its energy.

    Attributes
    ----------
    scratchpad_read_bytes
        Moving and stationary words that passes read, and accumulators that passes and DRAIN read.
    scratchpad_written_bytes
        Operands that LOAD writes to the banks, for each slab that takes them, and accumulators that passes write.
    register_hop_bytes
        Bytes times the cells that they go through: a moving operand through all columns, a partial sum through all rows of cells.
    """

    scratchpad_read_bytes: int
    scratchpad_written_bytes: int
    register_hop_bytes: int


def traffic(program: bytes, config: EngineConfig) -> Traffic:
    """Count what a program of INT8 operands moves inside the engine."""
    array = config.array
    sum_bytes = config.accumulator_bits / OPERAND_BITS
    matmuls = _instructions(program, Opcode.MATMUL)

    def of_matmul(name: str) -> NDArray[np.int64]:
        return _field(matmuls, Opcode.MATMUL, name)

    passes, rows, slabs = of_matmul("passes"), of_matmul("rows"), of_matmul("count")
    added = of_matmul("accumulate_first") + (passes - 1) * of_matmul("accumulate_rest")
    streamed = int((rows * passes * slabs).sum())  # moving words
    tiles = int((passes * slabs).sum())
    sums_written, sums_read = int((rows * passes).sum()), int((rows * added).sum())

    loads = _instructions(program, Opcode.LOAD)
    destination = _field(loads, Opcode.LOAD, "destination")
    operands = loads[(destination == Destination.MOVING) | (destination == Destination.STATIONARY)]
    loaded = _field(operands, Opcode.LOAD, "rows") * _field(operands, Opcode.LOAD, "row_bytes")
    copies = np.bitwise_count(_field(operands, Opcode.LOAD, "slabs"))

    drains = _instructions(program, Opcode.DRAIN)
    drained = int((_field(drains, Opcode.DRAIN, "rows") * _field(drains, Opcode.DRAIN, "columns")).sum())

    column_sums = array.columns * sum_bytes
    partial_bytes = array.sum_bits / OPERAND_BITS
    return Traffic(
        scratchpad_read_bytes=round(
            streamed * array.rows + tiles * array.rows * array.columns + sums_read * column_sums + drained * sum_bytes
        ),
        scratchpad_written_bytes=int((loaded * copies).sum()) + round(sums_written * column_sums),
        register_hop_bytes=round(streamed * array.columns * (array.rows + array.cells * partial_bytes)),
    )


@dataclass(frozen=True)
class Cut:
    """How a program cuts its problem.

    Attributes
    ----------
    partition
        Slabs fused into one partition in most passes.
    side_by_side
        Partitions that work at the same time, at most: those of this size that start at different slabs.
    rows, passes
        Most moving rows of a pass, and most passes of a MATMUL.
    instructions
        Of the whole program.
    """

    partition: int
    side_by_side: int
    rows: int
    passes: int
    instructions: int


def cut(program: bytes) -> Cut:
    """Read how a program with MATMULs cuts its problem."""
    matmuls = _instructions(program, Opcode.MATMUL)
    first, count, rows, passes = (_field(matmuls, Opcode.MATMUL, name) for name in ("first", "count", "rows", "passes"))
    used: Tally[int] = Tally()
    for slabs in np.unique(count):
        used[int(slabs)] = int(passes[count == slabs].sum())
    partition = used.most_common(1)[0][0]
    side_by_side = len(np.unique(first[count == partition]))
    return Cut(partition, side_by_side, int(rows.max()), int(passes.max()), len(program) // INSTRUCTION_BYTES)
