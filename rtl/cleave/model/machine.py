"""The engine, bit for bit, without its timing: one instruction after the other on numpy banks."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..config import EngineConfig
from ..engine.isa import INSTRUCTION_BYTES, Destination, Error, Instruction, Opcode, Output, Unit, decode
from ..errors import EngineError
from ..numerics.requantise import RECORD, requantise
from .check import check, cuts, moving_output, parameter_word_bytes


@dataclass
class Machine:
    """Banks, accumulators and memory window of an engine, and what programs do to them.

    Instructions run in the order they are written, which every program must be valid in. Accumulators wrap at 32
    bits, as the hardware's do.

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
    accumulators
        int32[slabs, accumulator_depth, columns].
    parameters
        One record per column, `drain_lanes` to a word.
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
        self.accumulators = np.zeros((array.slabs, config.accumulator_depth, array.columns), np.int32)
        self.parameters = np.zeros(config.parameter_depth * config.drain_lanes, RECORD)

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
            {Opcode.LOAD: self._load, Opcode.MATMUL: self._matmul, Opcode.DRAIN: self._drain}[instruction.opcode](
                instruction
            )
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
            self._write_moving(rows.view(np.int8), instruction.slabs, address)
        elif instruction.destination == Destination.STATIONARY:
            padded = np.zeros((len(rows), array.columns), np.int8)
            padded[:, : rows.shape[1]] = rows.view(np.int8)
            for segment in range(cuts(len(rows), array.rows)):
                tile = padded[segment * array.rows : (segment + 1) * array.rows]
                for slab in bits(instruction.slabs << segment):
                    bank = self.stationary[slab].reshape(-1, array.columns)
                    first = address * array.load_rows
                    bank[first : first + len(tile)] = tile
        else:
            word = parameter_word_bytes(config)
            padded = np.zeros((len(rows), cuts(rows.shape[1], word) * word), np.uint8)
            padded[:, : rows.shape[1]] = rows
            records = padded.reshape(-1).view(RECORD)
            first = address * config.drain_lanes
            self.parameters[first : first + len(records)] = records

    def _write_moving(self, rows: NDArray[np.int8], slabs: int, address: int) -> None:
        width = self.config.array.rows
        segments = cuts(rows.shape[1], width)
        padded = np.zeros((len(rows), segments * width), np.int8)
        padded[:, : rows.shape[1]] = rows
        for segment in range(segments):
            for slab in bits(slabs << segment):
                self.moving[slab, address : address + len(rows)] = padded[:, segment * width : (segment + 1) * width]

    def _matmul(self, instruction: Instruction) -> None:
        array, rows, passes = self.config.array, instruction.rows, instruction.passes
        slabs = slice(instruction.first, instruction.first + instruction.count)
        steps = np.arange(passes)[:, None]
        moving = instruction.moving + steps * instruction.moving_step + np.arange(rows)
        stationary = instruction.stationary + steps * instruction.stationary_step + np.arange(array.load_cycles)
        # float32 holds every sum of `rows` products exactly: at most 2**10 * 2**14.
        a = self.moving[slabs, moving].astype(np.float32)
        w = (
            self.stationary[slabs, stationary]
            .astype(np.float32)
            .reshape(instruction.count, passes, array.rows, array.columns)
        )
        products = (a @ w).astype(np.int32).sum(axis=0, dtype=np.int32)
        bank = self.accumulators[slabs.stop - 1]
        for number, product in enumerate(products):
            first = instruction.accumulator + number * instruction.accumulator_step
            if instruction.accumulate_rest if number else instruction.accumulate_first:
                bank[first : first + rows] += product
            else:
                bank[first : first + rows] = product
        self.useful_macs += rows * ((passes - 1) * instruction.row_macs + instruction.last_row_macs)

    def _drain(self, instruction: Instruction) -> None:
        first, columns = instruction.accumulator, instruction.columns
        rows = self.accumulators[instruction.slab, first : first + instruction.rows, :columns]
        if instruction.output == Output.INT32:
            self._store(instruction, np.ascontiguousarray(rows, "<i4").view(np.uint8))
            return
        start = instruction.parameters * self.config.drain_lanes
        result = requantise(rows, self.parameters[start : start + columns], relu=bool(instruction.relu))
        if instruction.output == Output.INT8:
            self._store(instruction, result.view(np.uint8))
        else:
            self._write_moving(result, *moving_output(instruction))

    def _store(self, instruction: Instruction, rows: NDArray[np.uint8]) -> None:
        for target, row in zip(self._rows(instruction, rows.shape[1]), rows, strict=True):
            target[:] = row


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
