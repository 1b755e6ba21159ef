"""Block scales at the drain: exponents of normalised values, less that of a scale which the values of a block share.

A block passes twice. First its values are normalised, as for any rounding, and the largest exponent is kept while they go into
a buffer; the scale follows from it. Then they leave the buffer with the scale's exponent subtracted, and are rounded.

What is buffered is the normalised value, not an FP32 code: the exponent is what the scale needs, normalising happens once, and
nothing is rounded twice. As elements have at most 8 bits of significand, 16 bits of it and a sticky bit are all that any
rounding mode looks at.
"""

from amaranth.hdl import Assert, Cat, Const, Elaboratable, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import BLOCK
from .formats import E8M0, ELEMENTS, Operand
from .normalise import LEADING_BITS, ZERO_EXPONENT, normalised_layout, significand_bits
from .quantise import ScaleRule

__all__ = ["NORMALISED", "BlockScaler", "block_layout"]

WIDTH = significand_bits(ELEMENTS)

NORMALISED = normalised_layout(WIDTH)
"""A value as far as elements need it."""


def block_layout() -> data.StructLayout:
    """Give the layout of what is asked of a block: an element's number, a scale rule's, and the code of the largest scale."""
    return data.StructLayout({"element": range(len(ELEMENTS)), "rule": range(len(ScaleRule)), "anchor": E8M0.bits})


class BlockScaler(wiring.Component):
    """Hold the words of a block of normalised values until its scale is known, and subtract that from their exponents.

        reach = max(exponent + (rule is UP and |value| / 2**exponent > largest / 2**emax))
        scale = limit(reach - emax, -127, min(127, anchor - 127))

    with `largest` and `emax` those of the element format in blocks, see `quantise`. Zeros do not count; a block of nothing else
    has the least scale. A NaN makes the scale NaN, and all of its block.

    Only `enable` stops it, and nothing else needs to: as long as the block at the head is not complete the buffer holds little
    else, and once it is, a word leaves in every cycle.

    Latency 2 cycles from a block's last word to its first, if no other block is ahead; throughput 1.

    Parameters
    ----------
    lanes
        Values per word.
    words
        Most words of a block.
    carried_bits
        Bits that go with each word.

    Members
    -------
    enable : In(1)
        The registers take new values.
    i : In(StructLayout)
        `valid`; `values`, one NORMALISED per lane; `last`, in the last word of a block; `carried`; and `asked` (`block_layout`),
        the same in all words of a block.
    o : Out(StructLayout)
        `valid`; `values` with the exponents of the element format's own integers or numbers; `last`; `carried`; and in every
        word its block's `scale` and `anchor`.
    busy : Out(1)
        A word is in here.
    """

    def __init__(self, lanes: int, words: int, carried_bits: int) -> None:
        self.lanes, self.words, self.carried_bits = lanes, words, carried_bits
        word = {"valid": 1, "values": data.ArrayLayout(NORMALISED, lanes), "last": 1, "carried": carried_bits}
        super().__init__({
            "enable": In(1),
            "i": In(data.StructLayout({**word, "asked": block_layout()})),
            "o": Out(data.StructLayout({**word, "scale": E8M0.bits, "anchor": E8M0.bits})),
            "busy": Out(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        enter, leave = Signal(), Signal()
        m.d.comb += [enter.eq(self.enable & self.i.valid), leave.eq(self.enable & self.o.valid)]
        scale = self._scale(m, enter, leave & self.o.last)

        # A ring with a place more than a block has words: its first word leaves while the second one behind it enters. Whether a
        # value is NaN is not kept, as its block's scale says it.
        places = self.words + 1
        kept = data.StructLayout({
            "values": data.ArrayLayout(NORMALISED.size - 1, self.lanes), "last": 1, "carried": self.carried_bits,
        })  # fmt: skip
        m.submodules.ring = ring = Memory(shape=kept, depth=places, init=[])
        write, read = ring.write_port(), ring.read_port(domain="comb")
        level = Signal(range(places + 1))
        m.d.comb += [
            write.en.eq(enter),
            write.data.values.eq(Cat(value.as_value()[:-1] for value in self.i.values)),
            write.data.last.eq(self.i.last),
            write.data.carried.eq(self.i.carried),
            self.busy.eq(level != 0),
        ]
        for moves, address in [(enter, write.addr), (leave, read.addr)]:
            place = Signal.like(address)
            m.d.comb += address.eq(place)
            with m.If(moves):
                m.d.sync += place.eq(Mux(place == places - 1, 0, place + 1))
        m.d.sync += [level.eq(level + enter - leave), Assert(~enter | leave | (level != places))]

        m.d.comb += [self.o.last.eq(read.data.last), self.o.carried.eq(read.data.carried)]
        for held, value in zip(read.data.values, self.o.values, strict=True):
            number = data.View(NORMALISED, Cat(held, Const(0, 1)))
            m.d.comb += [
                value.eq(number),
                value.poisoned.eq(scale.scale == E8M0.nan_code),
                value.exponent.eq(Mux(number.significand[-1], number.exponent - scale.offset, number.exponent)),
            ]
        return m

    def _scale(self, m: Module, enter: Value, leave: Value) -> data.View:
        """Find each block's scale, two cycles after its last word; give what is found of the block at the head."""
        reaches = [Signal(signed(LEADING_BITS), name=f"reach_{lane}") for lane in range(self.lanes)]
        best, any_poisoned = Signal(signed(LEADING_BITS), init=ZERO_EXPONENT), Signal()
        reach, poisoned = Signal(signed(LEADING_BITS)), Signal()
        found = Signal(data.StructLayout({"reach": signed(LEADING_BITS), "poisoned": 1, "asked": block_layout()}), reset_less=True)
        complete = Signal()
        m.d.comb += [
            *(reaches[lane].eq(value.exponent + self._above(m, lane, value)) for lane, value in enumerate(self.i.values)),
            reach.eq(_largest(m, [*reaches, best])),
            poisoned.eq(any_poisoned | Cat(value.poisoned for value in self.i.values).any()),
        ]
        with m.If(self.enable):
            m.d.sync += complete.eq(enter & self.i.last)
        with m.If(enter):
            m.d.sync += [
                best.eq(Mux(self.i.last, ZERO_EXPONENT, reach)),
                any_poisoned.eq(~self.i.last & poisoned),
                found.reach.eq(reach),
                found.poisoned.eq(poisoned),
                found.asked.eq(self.i.asked),
            ]

        offset_bits = E8M0.bits + 1
        wanted, step = Signal(signed(LEADING_BITS + 1)), Signal(signed(offset_bits))
        limit, exponent = Signal(signed(offset_bits)), Signal(signed(offset_bits))
        with m.Switch(found.asked.element):
            for number, operand in enumerate(_OPERANDS):
                with m.Case(number):
                    m.d.comb += [
                        wanted.eq(found.reach - operand.max_exponent),
                        step.eq(operand.step_exponent - operand.element.step_exponent),
                    ]
        m.d.comb += [
            limit.eq(Mux(found.asked.anchor == E8M0.nan_code, E8M0.bias, found.asked.anchor - E8M0.bias)),
            exponent.eq(Mux(wanted > limit, limit, Mux(wanted < -E8M0.bias, -E8M0.bias, wanted))),
        ]

        layout = data.StructLayout({"scale": E8M0.bits, "anchor": E8M0.bits, "offset": signed(offset_bits)})
        given = Signal(layout)
        m.submodules.scales = scales = SyncFIFO(width=layout.size, depth=self.words + 1)
        head = data.View(layout, scales.r_data)
        m.d.comb += [
            given.scale.eq(Mux(found.poisoned, E8M0.nan_code, exponent + E8M0.bias)),
            given.anchor.eq(found.asked.anchor),
            given.offset.eq(exponent + step),
            scales.w_en.eq(self.enable & complete),
            scales.w_data.eq(given),
            scales.r_en.eq(leave),
            self.o.valid.eq(scales.r_rdy),
            self.o.scale.eq(head.scale),
            self.o.anchor.eq(head.anchor),
        ]
        m.d.sync += Assert(~scales.w_en | scales.w_rdy)
        return head

    def _above(self, m: Module, lane: int, value: data.View) -> Value:
        """Say whether the scale must be one step higher than the exponent alone demands, lest the value saturate."""
        above = Signal(name=f"above_{lane}")
        with m.Switch(self.i.asked.element):
            for number, operand in enumerate(_OPERANDS):
                limit = int(operand.largest * 2.0 ** (WIDTH - 1 - operand.max_exponent))
                with m.Case(number):
                    m.d.comb += above.eq((value.significand > limit) | ((value.significand == limit) & value.sticky))
        return above & (self.i.asked.rule == ScaleRule.UP.value)


_OPERANDS = tuple(Operand(element.name, element, BLOCK) for element in ELEMENTS)
"""Each element in blocks: integers are fractions there."""


def _largest(m: Module, values: list[Signal]) -> Signal:
    """Give the largest of signed numbers, by a tree."""
    while len(values) > 1:
        level = values[len(values) & ~1 :]
        for a, b in zip(values[::2], values[1::2], strict=False):
            larger = Signal(signed(LEADING_BITS), name=f"largest_{len(values)}_{len(level)}")
            m.d.comb += larger.eq(Mux(a > b, a, b))
            level.append(larger)
        values = level
    return values[0]
