"""What flows through the drain: jobs to its parts, and beats of `drain_lanes` accumulators between them."""

from collections.abc import Callable

from amaranth.hdl import Mux, Value, signed
from amaranth.lib import data

from ..config import ACCUMULATOR_BITS, ACCUMULATOR_BYTES, BLOCK, EngineConfig, bits_for
from ..numerics.formats import E8M0
from ..numerics.rounder import format_layout
from .isa import Output


def row_beats(config: EngineConfig) -> int:
    """Beats of `drain_lanes` columns that make a whole row of accumulators."""
    return -(-config.array.columns // config.drain_lanes)


def row_blocks(config: EngineConfig) -> int:
    """Most blocks in a row of results."""
    return -(-config.array.columns // BLOCK)


def job_layout(config: EngineConfig) -> data.StructLayout:
    """A checked DRAIN instruction; every field is in range.

    Beside the instruction's own fields: `last_beat`, beats per row less one; `tail`, columns in a row's last beat;
    `last_segment`, segments per row less one (output MOVING). With `block_scales` also `size`, see `by_size`; `wanted`,
    what is asked of a rounding; and `scale_up`, of blocks.
    """
    array = config.array
    rounding = {"size": 2, "row_parameters": bits_for(config.parameter_depth), "wanted": format_layout(), "scale_up": 1}
    return data.StructLayout({
        "output": Output,
        "relu": 1,
        "slab": bits_for(array.slabs),
        "lane": bits_for(array.lanes),
        "accumulator": bits_for(config.accumulator_depth),
        "rows": bits_for(config.accumulator_depth + 1),
        "columns": bits_for(array.columns + 1),
        "last_beat": bits_for(row_beats(config)),
        "tail": bits_for(config.drain_lanes + 1),
        "parameters": bits_for(config.parameter_depth),
        "memory": 48,
        "stride": 32,
        "last_segment": bits_for(array.slabs),
        "signal": 32,
        "index": 32,
        **(rounding if config.block_scales else {}),
    })


def by_size(item: data.View, value: Callable[[int], Value | int]) -> Value:
    """Give what `value` makes of the bytes that a job's, or a beat's, results take each: 1, 2 or 4.

    `size` is the base-2 logarithm of that. Without `block_scales` only raw results take more than a byte.
    """
    if "size" in item.shape().members:
        return Mux(item.size[1], value(4), Mux(item.size[0], value(2), value(1)))
    return Mux(item.output == Output.INT32, value(4), value(1))


def accumulators_layout(config: EngineConfig) -> data.ArrayLayout:
    """The accumulators of `drain_lanes` adjacent columns of a row."""
    return data.ArrayLayout(signed(config.accumulator_bits), config.drain_lanes)


def read_layout(config: EngineConfig) -> data.StructLayout:
    """A beat as it was read; `last` in its row."""
    return data.StructLayout({"accumulators": accumulators_layout(config), "last": 1})


def place_layout(config: EngineConfig) -> data.StructLayout:
    """Where a beat's bytes go: `count` bytes from byte `offset` of a bus word on, the `last` of their row.

    With output MOVING `offset` means nothing. `block_ends` with the beat, if it is of a block.
    """
    return data.StructLayout({
        "output": Output,
        "count": bits_for(ACCUMULATOR_BYTES * config.drain_lanes + 1),
        "offset": bits_for(config.axi_bytes),
        "last": 1,
        **({"size": 2, "block_ends": 1} if config.block_scales else {}),
    })


def row_record_layout(config: EngineConfig) -> data.StructLayout:
    """Where the record of a row is: in a word, and which one there."""
    return data.StructLayout({"word": bits_for(config.parameter_depth), "number": bits_for(config.drain_lanes)})


def placed_layout(config: EngineConfig) -> data.StructLayout:
    """A beat with all that its results need: the address of its parameters and whether it is rectified.

    With `block_scales` also, whether it is the `first` of its row, where the row's record is, and what is asked of a rounding and
    of blocks.
    """
    rounding = {"first": 1, "row": row_record_layout(config), "wanted": format_layout(), "scale_up": 1}
    return data.StructLayout({
        "accumulators": accumulators_layout(config),
        "parameters": bits_for(config.parameter_depth),
        "relu": 1,
        "place": place_layout(config),
        **(rounding if config.block_scales else {}),
    })


def result_layout(config: EngineConfig) -> data.StructLayout:
    """A beat of results, little-endian from byte 0: 4, 2 or 1 byte of each lane, and then zeros.

    With `block_scales` also the `scale` of its block and the `anchor` of its row, with output BLOCKS.
    """
    return data.StructLayout({
        "data": ACCUMULATOR_BITS * config.drain_lanes,
        "place": place_layout(config),
        **({"scale": E8M0.bits, "anchor": E8M0.bits} if config.block_scales else {}),
    })


def aligned_layout(config: EngineConfig) -> data.StructLayout:
    """One word of the bus, with a strobe per byte."""
    return data.StructLayout({"data": config.axi_data_width, "strobe": config.axi_bytes})
