"""The drain's rounding: all lanes of a beat, each value by itself, or blocks of them under shared scales."""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import ACCUMULATOR_BITS, EngineConfig
from ..hdl import delay, share, stages
from ..numerics.block_scaler import NORMALISED, BlockScaler
from ..numerics.formats import E8M0
from ..numerics.normalise import ZERO_EXPONENT, Normaliser
from ..numerics.rounder import Packer, format_layout
from ..numerics.rounding import RANDOM_BITS
from .drain_layouts import accumulators_layout, place_layout
from .isa import Output
from .rounding_lane import ROUNDING_RECORD, RoundingLane

__all__ = ["RoundingUnit"]


class RoundingUnit(wiring.Component):
    """Round beats of accumulators, with the records of their row and their columns.

    One unit for all formats: values of blocks leave their lanes when they are normalised, for the `BlockScaler`, and return to
    be rounded. Beats with output BLOCKS must not come while others are in here, nor others while those are.

    Latency in cycles in which `enable` is high: `LATENCY`; in blocks, `LATENCY` + 2 from a block's last beat to its first.
    Throughput 1.

    Members
    -------
    enable : In(1)
        The registers take new values.
    i : In(StructLayout)
        `valid`, `accumulators`, the records of `columns` and `row`, and as in `placed_layout` `relu`, `wanted`, `scale_up` and
        `place`.
    o : Out(StructLayout)
        `valid`, `codes` in the lowest bits of 32 each, `place`; in blocks, `scale` and `anchor`.
    busy : Out(1)
        A beat is in here.
    """

    LATENCY = RoundingLane.LATENCY

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        lanes = config.drain_lanes
        super().__init__({
            "enable": In(1),
            "i": In(data.StructLayout({
                "valid": 1, "accumulators": accumulators_layout(config), "columns": data.ArrayLayout(ROUNDING_RECORD, lanes),
                "row": ROUNDING_RECORD, "relu": 1, "wanted": format_layout(), "scale_up": 1, "place": place_layout(config),
            })),
            "o": Out(data.StructLayout({
                "valid": 1, "codes": data.ArrayLayout(ACCUMULATOR_BITS, lanes), "place": place_layout(config),
                "scale": E8M0.bits, "anchor": E8M0.bits,
            })),
            "busy": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config, enable = self.config, self.enable
        lanes = [share(platform, RoundingLane(config.accumulator_bits)) for _ in range(config.drain_lanes)]
        carried = data.StructLayout({
            "place": place_layout(config), "wanted": format_layout(), "random": data.ArrayLayout(RANDOM_BITS, config.drain_lanes),
        })  # fmt: skip
        m.submodules.scaler = scaler = BlockScaler(config.drain_lanes, config.block_beats, carried.size)
        held = data.View(carried, scaler.o.carried)

        # As far as to normalised values.
        beat = data.StructLayout({"place": place_layout(config), "scale_up": 1, "anchor": E8M0.bits})
        given = Cat(self.i.place, self.i.scale_up, self.i.row.anchor)
        normalised = data.View(beat, delay(m, "normalised", given, Normaliser.LATENCY, enable))
        coming = stages(m, "coming", self.i.valid, Normaliser.LATENCY, enable)
        in_block = normalised.place.output == Output.BLOCKS
        wanted = lanes[0].between.wanted
        m.d.comb += [
            scaler.enable.eq(enable),
            scaler.i.valid.eq(coming[-1] & in_block),
            scaler.i.last.eq(normalised.place.block_ends),
            scaler.i.asked.element.eq(wanted.target),
            scaler.i.asked.rule.eq(normalised.scale_up),
            scaler.i.asked.anchor.eq(normalised.anchor),
            scaler.i.carried.eq(Cat(normalised.place, wanted, *(lane.between.random for lane in lanes))),
        ]

        # From there on, with values of blocks in the place of others.
        going = stages(m, "going", (coming[-1] & ~in_block) | scaler.o.valid, Packer.LATENCY, enable)
        onward = Cat(Mux(scaler.o.valid, held.place, normalised.place), scaler.o.scale, scaler.o.anchor)
        m.d.comb += [
            self.o.valid.eq(going[-1]),
            Cat(self.o.place, self.o.scale, self.o.anchor).eq(delay(m, "onward", onward, Packer.LATENCY, enable)),
            self.busy.eq(coming.any() | scaler.busy | going.any()),
        ]
        for number, lane in enumerate(lanes):
            m.submodules[f"lane_{number}"] = lane
            m.d.comb += [
                lane.enable.eq(enable),
                lane.accumulator.eq(self.i.accumulators[number]),
                lane.row.eq(self.i.row),
                lane.column.eq(self.i.columns[number]),
                lane.relu.eq(self.i.relu),
                lane.wanted.eq(self.i.wanted),
                self.o.codes[number].eq(lane.code),
                scaler.i.values[number].eq(_narrow(lane.between.value, used=number < normalised.place.count)),
                lane.replace.eq(scaler.o.valid),
                lane.replacement.value.eq(_wide(scaler.o.values[number], len(lane.between.value.significand))),
                lane.replacement.wanted.eq(held.wanted),
                lane.replacement.random.eq(held.random[number]),
            ]
        return m


def _narrow(value: data.View, *, used: Value) -> Value:
    """Give a normalised value with as many bits as elements need; one that is not `used` counts as little as zero."""
    surplus = len(value.significand) - NORMALISED["significand"].width
    return Cat(
        value.significand[surplus:], value.sticky | value.significand[:surplus].any(),
        Mux(used, value.exponent, ZERO_EXPONENT)[: len(value.exponent)], value.negative, value.poisoned & used,
    )  # fmt: skip


def _wide(value: data.View, width: int) -> Value:
    """Give a normalised value with so many bits of significand, zeros at their end."""
    return Cat(Const(0, width - len(value.significand)), value)
