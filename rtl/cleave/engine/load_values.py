"""What LOAD writes: elements decoded, scales as distances from their anchors."""

from amaranth.hdl import Elaboratable, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..hdl import share
from ..numerics.decode import ElementDecoder
from .isa import Destination
from .ports import chunk_bytes, destination_bits, operand_bytes

__all__ = ["LoadValues"]


class LoadValues(wiring.Component):
    """Turns the bytes of a chunk, as they are in memory, into those that the banks hold. For engines with `block_scales`.

    Byte i of a chunk becomes

        MOVING, STATIONARY    decode(byte i, element)
        MOVING_SCALES         byte 0 - byte i
        STATIONARY_SCALES     anchors[i] - byte i, for i < columns

    and stays what it is for other destinations, whose element is 0. So the zeros past the end of a row of elements stay
    zeros, and those past the end of a row of scales are above no anchor. Combinational.

    Parameters
    ----------
    config
        The engine's configuration.

    Members
    -------
    raw : In(8 * chunk_bytes)
    destination : In(3), element : In(2)
    anchors : In(8 * columns)
        Of the columns, for STATIONARY_SCALES.
    values : Out(8 * chunk_bytes)
    above : Out(1)
        The chunk has scales, and one is above its anchor.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        width = 8 * chunk_bytes(config)
        super().__init__({
            "raw": In(width),
            "destination": In(destination_bits(config)),
            "element": In(2),
            "anchors": In(8 * config.array.columns),
            "values": Out(width),
            "above": Out(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config, array = self.config, self.config.array
        elements = operand_bytes(config)
        scales = max(1 + array.slabs, array.columns)

        moving = self.destination == Destination.MOVING_SCALES
        scaled = moving | (self.destination == Destination.STATIONARY_SCALES)
        negative = Signal(scales)
        m.d.comb += self.above.eq(scaled & negative.any())
        for i in range(chunk_bytes(config)):
            value = code = self.raw.word_select(i, 8)
            if i < elements:
                m.submodules[f"decoder_{i}"] = decoder = share(platform, ElementDecoder())
                m.d.comb += [decoder.code.eq(code), decoder.element.eq(self.element)]
                value = decoder.decoded
            if i < scales:
                anchor = self.anchors.word_select(i, 8) if i < array.columns else 0
                if i <= array.slabs:
                    anchor = Mux(moving, self.raw[:8], anchor)
                distance = Signal(9, name=f"distance_{i}")
                m.d.comb += [distance.eq(anchor - code), negative[i].eq(distance[8])]
                value = Mux(scaled, distance[:8], value)
            m.d.comb += self.values.word_select(i, 8).eq(value)
        return m
