"""What makes an instruction illegal: the checks that the engine makes before it runs one."""

from typing import NamedTuple

from ..config import ACCUMULATOR_BYTES, EngineConfig
from ..engine.isa import Destination, Error, Instruction, Opcode, Output, Unit
from ..errors import EngineError
from ..numerics.drain import block_row_bytes
from ..numerics.formats import ELEMENTS, PAIRS, TARGETS
from ..numerics.requantise import RECORD_BYTES


def cuts(total: int, part: int) -> int:
    """Parts of at most `part` that make `total`."""
    return -(-total // part)


def parameter_word_bytes(config: EngineConfig) -> int:
    """Bytes of a word of the drain's parameter memory."""
    return RECORD_BYTES * config.drain_lanes


def check(instruction: Instruction, config: EngineConfig, *, index: int, window: int) -> None:
    """Check the fields of instruction number `index` for a memory window of `window` bytes.

    Raises
    ------
    EngineError
        With ILLEGAL_INSTRUCTION, BANK_RANGE or WINDOW, in this order.
    """
    rules = {Opcode.LOAD: _load, Opcode.MATMUL: _matmul, Opcode.DRAIN: _drain}[instruction.opcode]
    strangers = ~_partners(instruction.opcode, config)
    common = [
        (
            Error.ILLEGAL_INSTRUCTION,
            (instruction.wait | instruction.signal) & strangers == 0,
            "wait and signal name units that this one exchanges no tokens with",
        ),
        (Error.ILLEGAL_INSTRUCTION, instruction.rows >= 1, "rows must be at least 1"),
    ]
    for code, holds, rule in common + rules(instruction, config, window):
        if not holds:
            raise EngineError(code, index, rule)


Rule = tuple[Error, bool, str]


def _partners(opcode: Opcode, config: EngineConfig) -> int:
    """Give the units that an opcode's unit exchanges tokens with: slabs do so with LOAD and DRAIN, these with all."""
    slabs = (1 << config.array.slabs) - 1 << Unit.SLAB
    load, drain = 1 << Unit.LOAD, 1 << Unit.DRAIN
    return {Opcode.LOAD: slabs | drain, Opcode.MATMUL: load | drain, Opcode.DRAIN: slabs | load}[opcode]


def _placeable(slabs: int, segments: int, config: EngineConfig) -> bool:
    """Whether each segment lands in the array, and no slab gets two of them."""
    used = 0
    for segment in range(segments):
        placed = slabs << segment
        if placed >> config.array.slabs or placed & used:
            return False
        used |= placed
    return True


class Folds(NamedTuple):
    """How a LOAD of operands lays a memory row's segments: `side` of them side by side in the slabs, in each of `folds` folds.

    Of the last fold only the first `last` are there.
    """

    side: int
    folds: int
    last: int

    def at(self, position: int) -> int:
        """Give the folds that have a segment at this position."""
        return self.folds - (position >= self.last)


def folded(row_bytes: int, segment_bytes: int, fold: int) -> Folds:
    """Cut memory rows into segments, and these into folds of `fold`, or one of all if that is 0."""
    segments = max(1, cuts(row_bytes, segment_bytes))
    side = min(segments, fold or segments)
    count = cuts(segments, side)
    return Folds(side, count, segments - (count - 1) * side)


def _load(instruction: Instruction, config: EngineConfig, window: int) -> list[Rule]:
    array, row_bytes, slabs = config.array, instruction.row_bytes, instruction.slabs
    least_rows = least_bytes = 1
    operands = instruction.destination in (Destination.MOVING, Destination.STATIONARY)
    if instruction.destination == Destination.MOVING:
        cut = folded(row_bytes, array.rows, instruction.fold)
        segments, words, depth = cut.side, instruction.rows + (cut.folds - 1) * instruction.step, config.moving_depth
    elif instruction.destination == Destination.MOVING_SCALES:
        segments, words, depth, least_bytes = row_bytes - 1, instruction.rows, config.moving_depth, 2
    elif instruction.destination == Destination.STATIONARY_SCALES:
        segments, words, depth, least_rows = instruction.rows - 1, 1, config.stationary_depth, 2
    elif instruction.destination == Destination.STATIONARY:
        cut = folded(row_bytes, array.columns, instruction.fold)
        tiles, rest = divmod(instruction.rows * cut.folds, array.rows)
        ends = [(tiles - 1) * instruction.step + array.load_cycles] * (tiles > 0)
        ends += [tiles * instruction.step + cuts(rest, array.load_rows)] * (rest > 0)
        segments, words, depth = cut.side, max(ends, default=0), config.stationary_depth
    else:
        segments, depth = 1, config.parameter_depth
        words = instruction.rows * cuts(row_bytes, parameter_word_bytes(config))
    parameters = instruction.destination in (Destination.PARAMETERS, Destination.ROW_PARAMETERS)
    of_columns = instruction.destination == Destination.STATIONARY_SCALES
    elements = operands and config.block_scales
    last = Destination.STATIONARY_SCALES if config.block_scales else Destination.PARAMETERS
    return [
        (Error.ILLEGAL_INSTRUCTION, instruction.destination <= last, f"destination must be 0 to {last}"),
        (Error.ILLEGAL_INSTRUCTION, elements or not instruction.element, "element must be 0 here"),
        (Error.ILLEGAL_INSTRUCTION, instruction.rows >= least_rows, f"rows must be at least {least_rows}"),
        (Error.ILLEGAL_INSTRUCTION, row_bytes >= least_bytes, f"row_bytes must be at least {least_bytes}"),
        (
            Error.ILLEGAL_INSTRUCTION,
            not of_columns or row_bytes <= array.columns,
            f"row_bytes must be at most {array.columns} for stationary scales",
        ),
        (Error.ILLEGAL_INSTRUCTION, operands or not (instruction.fold or instruction.step), "fold and step must be 0 here"),
        (Error.ILLEGAL_INSTRUCTION, (slabs == 0) == parameters, "slabs must name slabs for banks, none for parameters"),
        (
            Error.ILLEGAL_INSTRUCTION,
            _placeable(slabs, segments, config),
            f"each segment must have slabs of its own among {array.slabs}",
        ),
        (Error.BANK_RANGE, instruction.address + words <= depth, f"words must lie below {depth}"),
        _memory(instruction, row_bytes, window),
    ]


def _matmul(instruction: Instruction, config: EngineConfig, _window: int) -> list[Rule]:
    array, last = config.array, instruction.passes - 1
    formats = len(PAIRS) if array.lanes > 1 else 1

    def ends(start: int, step: int, words: int, depth: int, name: str) -> Rule:
        return Error.BANK_RANGE, start + max(last, 0) * step + words <= depth, f"{name} must lie below {depth}"

    return [
        (Error.ILLEGAL_INSTRUCTION, instruction.passes >= 1, "passes must be at least 1"),
        (Error.ILLEGAL_INSTRUCTION, instruction.count >= 1, "count must be at least 1"),
        (
            Error.ILLEGAL_INSTRUCTION,
            config.block_scales or not (instruction.scaled or instruction.shift),
            "scaled and shift must be 0 without block_scales",
        ),
        (Error.ILLEGAL_INSTRUCTION, instruction.pairs < formats, f"pairs must be below {formats}"),
        (
            Error.ILLEGAL_INSTRUCTION,
            instruction.first + instruction.count <= array.slabs,
            f"the partition must lie in {array.slabs} slabs",
        ),
        ends(instruction.moving, instruction.moving_step, instruction.rows, config.moving_depth, "moving rows"),
        ends(
            instruction.stationary,
            instruction.stationary_step,
            array.load_cycles + scale_words(instruction),
            config.stationary_depth,
            "stationary words",
        ),
        ends(
            instruction.accumulator,
            instruction.accumulator_step,
            instruction.rows,
            config.accumulator_depth,
            "accumulator rows",
        ),
    ]


def scale_words(instruction: Instruction) -> int:
    """Give the words of a stationary tile of a MATMUL that have the distances of its scales."""
    return instruction.scaled * (1 + bool(instruction.pairs))


def moving_output(instruction: Instruction) -> tuple[int, int]:
    """Give the slab mask and the bank address of a DRAIN to moving banks."""
    return instruction.memory & (1 << 30) - 1, instruction.memory >> 32


def _drain(instruction: Instruction, config: EngineConfig, window: int) -> list[Rule]:
    array, columns = config.array, instruction.columns
    last = Output.BLOCKS if config.block_scales else Output.MOVING
    rounded, blocks = instruction.output == Output.ROUNDED, instruction.output == Output.BLOCKS
    rounds = rounded or blocks
    only_rounded = instruction.target or instruction.mode or instruction.row_parameters
    targets = ELEMENTS if blocks else TARGETS
    rules: list[Rule] = [
        (Error.ILLEGAL_INSTRUCTION, instruction.output <= last, f"output must be 0 to {last}"),
        (Error.ILLEGAL_INSTRUCTION, rounds or not only_rounded, "target, mode and row_parameters must be 0 here"),
        (Error.ILLEGAL_INSTRUCTION, rounded or not instruction.saturate, "saturate must be 0 here"),
        (Error.ILLEGAL_INSTRUCTION, blocks or not instruction.scale_up, "scale_up must be 0 here"),
        (Error.ILLEGAL_INSTRUCTION, instruction.target < len(targets), f"target must be below {len(targets)}"),
        (Error.ILLEGAL_INSTRUCTION, instruction.slab < array.slabs, f"slab must be below {array.slabs}"),
        (Error.ILLEGAL_INSTRUCTION, instruction.lane < array.lanes, f"lane must be below {array.lanes}"),
        (Error.ILLEGAL_INSTRUCTION, 1 <= columns <= array.columns, f"columns must be 1 to {array.columns}"),
    ]
    ranges: list[Rule] = [
        (
            Error.BANK_RANGE,
            instruction.accumulator + instruction.rows <= config.accumulator_depth,
            f"accumulator rows must lie below {config.accumulator_depth}",
        ),
    ]
    if instruction.output == Output.INT32:
        unused = instruction.relu == 0 and instruction.parameters == 0
        rules.append((Error.ILLEGAL_INSTRUCTION, unused, "relu and parameters must be 0 for int32"))
    else:
        words = instruction.parameters + cuts(columns, config.drain_lanes)
        ranges.append(
            (Error.BANK_RANGE, words <= config.parameter_depth, f"parameters must lie below {config.parameter_depth}")
        )
    if rounds:
        words = instruction.row_parameters + cuts(instruction.rows, config.drain_lanes)
        ranges.append(
            (Error.BANK_RANGE, words <= config.parameter_depth, f"row parameters must lie below {config.parameter_depth}")
        )
    if instruction.output == Output.MOVING:
        slabs, address = moving_output(instruction)
        rules += [
            (
                Error.ILLEGAL_INSTRUCTION,
                instruction.stride == 0 and instruction.memory >> 30 & 0b11 == 0,
                "stride and bits 30 and 31 of memory must be 0 for moving banks",
            ),
            (Error.ILLEGAL_INSTRUCTION, slabs != 0, "slabs must name slabs"),
            (
                Error.ILLEGAL_INSTRUCTION,
                _placeable(slabs, cuts(columns, array.rows), config),
                f"each segment must have slabs of its own among {array.slabs}",
            ),
        ]
        ranges.append(
            (
                Error.BANK_RANGE,
                address + instruction.rows <= config.moving_depth,
                f"words must lie below {config.moving_depth}",
            )
        )
    else:
        ranges.append(_memory(instruction, row_bytes(instruction), window))
    return rules + ranges


def row_bytes(instruction: Instruction) -> int:
    """Give the bytes of a row that a DRAIN writes to memory."""
    if instruction.output == Output.BLOCKS:
        return block_row_bytes(instruction.columns)
    if instruction.output == Output.ROUNDED and instruction.target < len(TARGETS):
        return instruction.columns * TARGETS[instruction.target].storage_bytes
    return instruction.columns * (ACCUMULATOR_BYTES if instruction.output == Output.INT32 else 1)


def _memory(instruction: Instruction, row_bytes: int, window: int) -> Rule:
    end = instruction.memory + max(instruction.rows - 1, 0) * instruction.stride + row_bytes
    return Error.WINDOW, end <= window, f"memory must end at byte {window} of the window, not {end}"
