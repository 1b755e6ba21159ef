"""The engine, bit for bit, without its timing: one instruction after the other on numpy banks."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..config import ACCUMULATOR_BITS, EngineConfig
from ..engine.isa import INSTRUCTION_BYTES, Destination, Error, Instruction, Opcode, Output, Unit, decode
from ..errors import EngineError
from ..numerics.drain import ROUND_RECORD, quantise_accumulators, round_accumulators
from ..numerics.formats import ELEMENTS, TARGETS, lane_integers
from ..numerics.quantise import ScaleRule
from ..numerics.requantise import RECORD, requantise
from ..numerics.rounding import Rounding
from .check import Folds, check, cuts, folded, moving_output, parameter_word_bytes


@dataclass
class Machine:
    """Banks, accumulators and memory window of an engine, and what programs do to them.

    Instructions run in the order they are written, which every program must be valid in. Accumulators wrap at
    `accumulator_bits`, as the hardware's do.

    Parameters
    ----------
    config
        The engine.
    memory
        Bytes of the memory; the window is all of it.

    Attributes
    ----------
    moving
        int8[slabs, moving_depth, rows].
    stationary
        int8[slabs, stationary_depth, load_rows, columns].
    distances
        uint8[slabs, moving_depth]: how far a moving word's block is below its row's anchor. Those of stationary tiles stand in
        part 0 of a word of `stationary`.
    accumulators
        int64[slabs, lanes, accumulator_depth, columns].
    parameters, row_parameters
        One record per column, and one per row, `drain_lanes` to a word.
    useful_macs
        What the hardware's counter holds after the last program.
    """

    config: EngineConfig
    memory: NDArray[np.uint8]
    useful_macs: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        config, array = self.config, self.config.array
        self.moving = np.zeros((array.slabs, config.moving_depth, array.rows), np.int8)
        self.stationary = np.zeros((array.slabs, config.stationary_depth, array.load_rows, array.columns), np.int8)
        self.distances = np.zeros((array.slabs, config.moving_depth), np.uint8)
        self.accumulators = np.zeros((array.slabs, array.lanes, config.accumulator_depth, array.columns), np.int64)
        self.parameters = np.zeros(config.parameter_depth * config.drain_lanes, RECORD)
        self.row_parameters = np.zeros(len(self.parameters), ROUND_RECORD)

    def run(self, offset: int, length: int) -> None:
        """Run the program of `length` instructions at byte `offset` of the window.

        Raises
        ------
        EngineError
            With the instruction that the hardware reports, and its code; where an instruction breaks several rules, or
            waits for a token that never comes, the hardware may report another of its codes. A token that
            no earlier instruction gives is DEADLOCK, more tokens than a counter holds TOKEN_OVERFLOW.
        """
        self.useful_macs = 0
        tokens: dict[tuple[int, int], int] = {}
        if offset % INSTRUCTION_BYTES:
            raise EngineError(
                Error.ILLEGAL_INSTRUCTION, 0, f"a program must start at a multiple of {INSTRUCTION_BYTES} bytes"
            )
        inside = max(0, len(self.memory) - offset) // INSTRUCTION_BYTES
        if length > inside:
            raise EngineError(Error.WINDOW, inside, f"the program must end at byte {len(self.memory)} of the window")
        for index in range(length):
            start = offset + index * INSTRUCTION_BYTES
            try:
                instruction = decode(self.memory[start : start + INSTRUCTION_BYTES].tobytes())
            except ValueError as error:
                raise EngineError(Error.ILLEGAL_INSTRUCTION, index, str(error)) from None
            check(instruction, self.config, index=index, window=len(self.memory))
            self._take(tokens, instruction, index)
            try:
                {Opcode.LOAD: self._load, Opcode.MATMUL: self._matmul, Opcode.DRAIN: self._drain}[instruction.opcode](
                    instruction
                )
            except _ScaleError as error:
                raise EngineError(Error.SCALE, index, str(error)) from None
            self._give(tokens, instruction, index)

    def _take(self, tokens: dict[tuple[int, int], int], instruction: Instruction, index: int) -> None:
        taker, _ = units(instruction)
        for giver in bits(instruction.wait):
            if not tokens.get((giver, taker)):
                raise EngineError(Error.DEADLOCK, index, f"no earlier instruction of unit {giver} gives the token")
            tokens[giver, taker] -= 1

    def _give(self, tokens: dict[tuple[int, int], int], instruction: Instruction, index: int) -> None:
        _, giver = units(instruction)
        for taker in bits(instruction.signal):
            tokens[giver, taker] = tokens.get((giver, taker), 0) + 1
            if tokens[giver, taker] >= 1 << self.config.token_bits:
                raise EngineError(Error.TOKEN_OVERFLOW, index, f"too many tokens for unit {taker}")

    def _rows(self, instruction: Instruction, row_bytes: int) -> NDArray[np.uint8]:
        """Give a view of the instruction's rows of memory."""
        return np.ndarray(
            (instruction.rows, row_bytes), np.uint8, self.memory, instruction.memory, (instruction.stride, 1)
        )

    def _load(self, instruction: Instruction) -> None:
        config, array = self.config, self.config.array
        address, rows = instruction.address, self._rows(instruction, instruction.row_bytes)
        if instruction.destination == Destination.MOVING:
            cut = folded(instruction.row_bytes, array.rows, instruction.fold)
            self._write_moving(_decoded(rows, instruction.element), instruction.slabs, address, cut, instruction.step)
        elif instruction.destination == Destination.STATIONARY:
            cut = folded(instruction.row_bytes, array.columns, instruction.fold)
            segments = _segments(_decoded(rows, instruction.element), cut, array.columns).reshape(-1, cut.side, array.columns)
            for position in range(cut.side):
                numbers = (np.arange(len(rows))[:, None] * cut.folds + np.arange(cut.at(position))).reshape(-1)
                for tile in range(cuts(len(segments), array.rows)):
                    of_tile = numbers[numbers // array.rows == tile]
                    places = (address + tile * instruction.step) * array.load_rows + of_tile % array.rows
                    for slab in bits(instruction.slabs << position):
                        self.stationary[slab].reshape(-1, array.columns)[places] = segments[of_tile, position]
        elif instruction.destination == Destination.MOVING_SCALES:
            for segment, distances in enumerate(_distances(rows[:, :1], rows[:, 1:]).T):
                for slab in bits(instruction.slabs << segment):
                    self.distances[slab, address : address + len(rows)] = distances
        elif instruction.destination == Destination.STATIONARY_SCALES:
            for segment, distances in enumerate(_distances(rows[:1], rows[1:])):
                for slab in bits(instruction.slabs << segment):
                    self.stationary[slab, address, 0] = 0
                    self.stationary[slab, address, 0, : len(distances)] = distances.view(np.int8)
        else:
            word = parameter_word_bytes(config)
            padded = np.zeros((len(rows), cuts(rows.shape[1], word) * word), np.uint8)
            padded[:, : rows.shape[1]] = rows
            of_rows = instruction.destination == Destination.ROW_PARAMETERS
            memory = self.row_parameters if of_rows else self.parameters
            records = padded.reshape(-1).view(memory.dtype)
            first = address * config.drain_lanes
            memory[first : first + len(records)] = records

    def _write_moving(self, rows: NDArray[np.int8], slabs: int, address: int, cut: Folds, step: int = 0) -> None:
        segments = _segments(rows, cut, self.config.array.rows)
        # One row is written after the other: where two folds meet in a word, the later row's stays, of the same row's the later.
        for fold in reversed(range(cut.folds)) if step else range(cut.folds):
            first = address + fold * step
            for position in range(cut.side if fold < cut.folds - 1 else cut.last):
                for slab in bits(slabs << position):
                    self.moving[slab, first : first + len(rows)] = segments[:, fold, position]

    def _matmul(self, instruction: Instruction) -> None:
        config, array, rows, passes = self.config, self.config.array, instruction.rows, instruction.passes
        slabs = slice(instruction.first, instruction.first + instruction.count)
        steps = np.arange(passes)[:, None]
        moving = instruction.moving + steps * instruction.moving_step + np.arange(rows)
        stationary = instruction.stationary + steps * instruction.stationary_step + np.arange(array.load_cycles)
        # float32 holds every sum of `rows` products exactly: at most 2**10 * 2**14.
        a = self.moving[slabs, moving].astype(np.float32)
        tiles = self.stationary[slabs, stationary].reshape(instruction.count, passes, array.rows, array.columns)
        for lane, w in enumerate(lane_integers(tiles, instruction.pairs)):
            products = (a @ w.astype(np.float32)).astype(np.int64)
            if config.block_scales:
                shift: NDArray[np.int64] | int = instruction.shift
                if instruction.scaled:
                    words = stationary[:, -1] + 1 + lane
                    of_column = self.stationary[slabs, words, 0].view(np.uint8).astype(np.int64)
                    shift = shift + self.distances[slabs, moving][..., None] + of_column[:, :, None]
                up = config.exact_shift + (config.pair_shift if instruction.pairs else 0)
                products = products << up >> np.minimum(shift, 63)
            products = products.sum(axis=0)
            bank = self.accumulators[slabs.stop - 1, lane]
            for number, product in enumerate(products):
                first = instruction.accumulator + number * instruction.accumulator_step
                if instruction.accumulate_rest if number else instruction.accumulate_first:
                    product = product + bank[first : first + rows]  # noqa: PLW2901  what is written, either way
                bank[first : first + rows] = _wrapped(product, config.accumulator_bits)
        self.useful_macs += rows * ((passes - 1) * instruction.row_macs + instruction.last_row_macs)

    def _drain(self, instruction: Instruction) -> None:
        first, columns = instruction.accumulator, instruction.columns
        rows = self.accumulators[instruction.slab, instruction.lane, first : first + instruction.rows, :columns]
        raw = _wrapped(rows, ACCUMULATOR_BITS).astype("<i4")
        if instruction.output == Output.INT32:
            self._store(instruction, raw.view(np.uint8))
            return
        lanes = self.config.drain_lanes
        records = self.parameters[instruction.parameters * lanes :][:columns]
        if instruction.output in (Output.ROUNDED, Output.BLOCKS):
            of_rows = self.row_parameters[instruction.row_parameters * lanes :][: instruction.rows]
            given = rows, of_rows, records.view(ROUND_RECORD), TARGETS[instruction.target], Rounding(instruction.mode)
            relu = bool(instruction.relu)
            if instruction.output == Output.BLOCKS:
                codes, scales = quantise_accumulators(*given, ScaleRule(instruction.scale_up), relu=relu)
                self._store(instruction, np.concatenate([codes, of_rows["anchor"][:, None], scales], axis=1))
            else:
                codes = round_accumulators(*given, saturate=bool(instruction.saturate), relu=relu)
                self._store(instruction, codes.view(np.uint8))
            return
        result = requantise(raw, records, relu=bool(instruction.relu))
        if instruction.output == Output.INT8:
            self._store(instruction, result.view(np.uint8))
        else:
            self._write_moving(result, *moving_output(instruction), folded(columns, self.config.array.rows, 0))

    def _store(self, instruction: Instruction, rows: NDArray[np.uint8]) -> None:
        for target, row in zip(self._rows(instruction, rows.shape[1]), rows, strict=True):
            target[:] = row


def _segments(rows: NDArray[np.int8], cut: Folds, width: int) -> NDArray[np.int8]:
    """Cut rows into [row, fold, position, byte of a segment], zero where they end."""
    padded = np.zeros((len(rows), cut.folds * cut.side * width), np.int8)
    padded[:, : rows.shape[1]] = rows
    return padded.reshape(len(rows), cut.folds, cut.side, width)


class _ScaleError(Exception):
    """A block's scale is above its anchor."""


def _distances(anchors: NDArray[np.uint8], scales: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give how far scales are below their anchors."""
    above = scales > anchors
    if above.any():
        scale, anchor = (array[above][0] for array in np.broadcast_arrays(scales, anchors))
        raise _ScaleError(f"a scale must not be above its anchor, {anchor}, as {scale} is")
    return anchors - scales


def _decoded(codes: NDArray[np.uint8], element: int) -> NDArray[np.int8]:
    """Give the integers of elements as the array has them, of codes in the lowest bits of each byte."""
    target = ELEMENTS[element]
    return (target.integers[codes & (1 << target.bits) - 1] << target.alignment).astype(np.int8)


def _wrapped(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Give integers as two's complement of so many bits keeps them."""
    return values << 64 - bits >> 64 - bits


def units(instruction: Instruction) -> tuple[int, int]:
    """Give the unit that takes an instruction's tokens, and the one that gives them."""
    if instruction.opcode == Opcode.MATMUL:
        first = Unit.SLAB + instruction.first
        return first, first + instruction.count - 1
    unit = Unit.LOAD if instruction.opcode == Opcode.LOAD else Unit.DRAIN
    return unit, unit


@lru_cache
def bits(mask: int) -> tuple[int, ...]:
    """Give the numbers of the set bits."""
    return tuple(bit for bit in range(mask.bit_length()) if mask >> bit & 1)
