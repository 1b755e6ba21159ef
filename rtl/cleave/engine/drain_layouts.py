"""What flows through the drain: jobs to its parts, and beats of `drain_lanes` accumulators between them."""

from amaranth.hdl import signed
from amaranth.lib import data

from ..config import ACCUMULATOR_BITS, ACCUMULATOR_BYTES, EngineConfig, bits_for
from .isa import Output


def row_beats(config: EngineConfig) -> int:
    """Beats of `drain_lanes` columns that make a whole row of accumulators."""
    return -(-config.array.columns // config.drain_lanes)


def job_layout(config: EngineConfig) -> data.StructLayout:
    """A checked DRAIN instruction; every field is in range.

    Beside the instruction's own fields: `last_beat`, beats per row less one; `tail`, columns in a row's last beat;
    `last_segment`, segments per row less one (output MOVING).
    """
    array = config.array
    return data.StructLayout({
        "output": Output,
        "relu": 1,
        "slab": bits_for(array.slabs),
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
    })


def accumulators_layout(config: EngineConfig) -> data.ArrayLayout:
    """The accumulators of `drain_lanes` adjacent columns of a row."""
    return data.ArrayLayout(signed(ACCUMULATOR_BITS), config.drain_lanes)


def read_layout(config: EngineConfig) -> data.StructLayout:
    """A beat as it was read; `last` in its row."""
    return data.StructLayout({"accumulators": accumulators_layout(config), "last": 1})


def place_layout(config: EngineConfig) -> data.StructLayout:
    """Where a beat's bytes go: `count` bytes from byte `offset` of a bus word on, the `last` of their row.

    With output MOVING `offset` means nothing.
    """
    return data.StructLayout({
        "output": Output,
        "count": bits_for(ACCUMULATOR_BYTES * config.drain_lanes + 1),
        "offset": bits_for(config.axi_bytes),
        "last": 1,
    })


def placed_layout(config: EngineConfig) -> data.StructLayout:
    """A beat with all that its requantisation needs: the address of its parameters and whether it is rectified."""
    return data.StructLayout({
        "accumulators": accumulators_layout(config),
        "parameters": bits_for(config.parameter_depth),
        "relu": 1,
        "place": place_layout(config),
    })


def result_layout(config: EngineConfig) -> data.StructLayout:
    """A beat of results, little-endian from byte 0: int32 of each lane, or int8 of each lane and then zeros."""
    return data.StructLayout({
        "data": ACCUMULATOR_BITS * config.drain_lanes,
        "place": place_layout(config),
    })


def aligned_layout(config: EngineConfig) -> data.StructLayout:
    """One word of the bus, with a strobe per byte."""
    return data.StructLayout({"data": config.axi_data_width, "strobe": config.axi_bytes})
