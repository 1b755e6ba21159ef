"""Signatures and layouts between the engine's units, each written once."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig, bits_for
from ..memory.ram import WritePort
from ..numerics.requantise import RECORD_BYTES
from .isa import FIELDS, Error, Opcode

READ_LATENCY = 1
"""Cycles from an accepted accumulator read to its first column."""


def instruction_layout(opcode: Opcode) -> data.StructLayout:
    """Layout of an instruction's fields, in the order of the table."""
    return data.StructLayout({item.name: item.width for item in FIELDS[opcode]})


def command_layout(opcode: Opcode) -> data.StructLayout:
    """Layout of a queue entry: the instruction and its number in the program."""
    return data.StructLayout({"instruction": instruction_layout(opcode), "index": 32})


class Complete(wiring.Signature):
    """One-cycle pulse at an instruction's completion, with its `signal` mask."""

    def __init__(self) -> None:
        super().__init__({"valid": Out(1), "signal": Out(32)})


class Failure(wiring.Signature):
    """One-cycle pulse at an error, with its code and the failing instruction's number."""

    def __init__(self) -> None:
        super().__init__({"valid": Out(1), "code": Out(Error), "index": Out(32)})


class UnitPort(wiring.Signature):
    """What LOAD and DRAIN show to the control unit.

    `command` is offered once the instruction's tokens are taken. Commands complete in order. After a failure, or when
    `abort` is high, a unit starts no new bus transfer, finishes those it has started, discarding data, and then drops
    `busy`; it stays so until it is reset.
    """

    def __init__(self, opcode: Opcode) -> None:
        super().__init__({
            "command": In(stream.Signature(command_layout(opcode))),
            "complete": Out(Complete()),
            "failure": Out(Failure()),
            "abort": In(1),
            "busy": Out(1),
        })


class Window(wiring.Signature):
    """The programmed memory window, seen from the registers: base address and size in bytes."""

    def __init__(self, config: EngineConfig) -> None:
        super().__init__({"base": Out(config.axi_address_width), "size": Out(48)})


def operand_bytes(config: EngineConfig) -> int:
    """Most bytes of operands that LOAD takes in one cycle: words of several slabs, rows of several slabs, or of one word."""
    stationary = max(config.stationary_segments, config.stationary_rows)
    return max(config.segments * config.array.rows, stationary * config.array.columns)


def chunk_bytes(config: EngineConfig) -> int:
    """Most bytes that LOAD takes in one cycle: operands, a word of parameters, or a row of scales."""
    array = config.array
    scales = 1 + array.slabs if config.block_scales else 0
    return max(operand_bytes(config), config.drain_lanes * RECORD_BYTES, scales)


def chunk_segments(config: EngineConfig) -> int:
    """Most segments of a chunk: moving words, stationary rows, or the scales of a whole row."""
    return config.array.slabs if config.block_scales else max(config.segments, config.stationary_segments)


def destination_bits(config: EngineConfig) -> int:
    """Width of the number of a destination that the engine has."""
    return 3 if config.block_scales else 2


def chunk_layout(config: EngineConfig) -> data.StructLayout:
    """One write into the scratchpad.

    MOVING: bytes [j * rows, (j + 1) * rows) go to word `address` of every slab in `slabs[j]`, for each j < segments.
    STATIONARY: bytes [j * columns, (j + 1) * columns) go to word `address` of every slab in `slabs[j]`, to the one part that is in
    `parts`, for each j < stationary_segments; or, where several adjacent ones are, to the j-th of them, of the slabs in `slabs[0]`.
    PARAMETERS, ROW_PARAMETERS: bytes [0, 8 * drain_lanes) go to word `address`.
    MOVING_SCALES: byte 1 + j goes to word `address` of the distances of every slab in `slabs[j]`.
    STATIONARY_SCALES: as STATIONARY, j = 0 and part 0 only.
    """
    return data.StructLayout({
        "destination": destination_bits(config),
        "slabs": data.ArrayLayout(config.array.slabs, chunk_segments(config)),
        "address": 16,
        "parts": config.array.load_rows,
        "data": 8 * chunk_bytes(config),
    })


class BankWrites(wiring.Signature):
    """The scratchpad's write ports: one moving and one stationary bank per slab, and the drain's parameters.

    With `block_scales` also, for each moving word, the distance of its scale from its row's anchor, and the drain's
    parameters of rows.
    """

    def __init__(self, config: EngineConfig) -> None:
        array = config.array
        parameters = WritePort(config.parameter_depth, 8 * RECORD_BYTES * config.drain_lanes)
        scaled = {
            "distances": Out(WritePort(config.moving_depth, 8)).array(array.slabs),
            "row_parameters": Out(parameters),
        }
        super().__init__({
            "moving": Out(WritePort(config.moving_depth, 8 * array.rows)).array(array.slabs),
            "stationary": Out(
                WritePort(config.stationary_depth, 8 * array.load_rows * array.columns, array.load_rows)
            ).array(array.slabs),
            "parameters": Out(parameters),
            **(scaled if config.block_scales else {}),
        })


class AccumulatorRead(wiring.Signature):
    """The drain's way into a slab's accumulators, seen from the drain.

    A request for `group` (columns from `group * read_columns`; lane 1's groups follow lane 0's) of row `address` is accepted in a
    cycle with `valid` and `ready`; `ready` is low while a pass reads the same half of the interleaved bank, at most every other
    cycle. Column `group * read_columns + i` then stands in `data[i]` for one cycle, `READ_LATENCY + i` cycles later. A slab that
    was not asked shows 0, so that slabs are merged by OR; columns beyond the array are 0. `address` is the same at all slabs.
    """

    def __init__(self, config: EngineConfig) -> None:
        super().__init__({
            "valid": Out(1),
            "ready": In(1),
            "group": Out(bits_for(config.array.lanes * config.read_groups)),
            "address": Out(bits_for(config.accumulator_depth)),
            "data": In(config.accumulator_bits).array(config.read_columns),
        })
