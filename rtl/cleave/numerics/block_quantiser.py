"""Block quantisation at the drain: accumulators to elements with a shared scale, rounded once.

A block passes twice. First its values are normalised, as for any rounding, and the largest exponent is kept while they go into
a buffer; the scale follows from it. Then they leave the buffer with the scale's exponent subtracted, and are rounded.

What is buffered is the normalised value, not an FP32 code: the exponent is what the scale needs, normalising happens once, and
nothing is rounded twice. As elements have at most 8 bits of significand, 16 bits of it and a sticky bit are all that any
rounding mode looks at: 29 bits a value, less than FP32's 32.
"""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from ..hdl import delay, share
from .formats import E8M0, ELEMENTS, Operand
from .normalise import EXPONENT_BITS, LEADING_BITS, Normaliser, normalised_layout, significand_bits
from .quantise import ScaleRule
from .rounder import Packer
from .rounding import RANDOM_BITS, Rounding

__all__ = ["BLOCK", "BlockQuantiser", "BlockScaler", "block_layout"]

BLOCK = 32
"""Elements of a block."""

WIDTH = significand_bits(ELEMENTS)

NORMALISED = normalised_layout(WIDTH)

SLACK = 3
"""Words that may enter the buffer between a block's last word and the leaving of its first."""


def block_layout() -> data.StructLayout:
    """Give the layout of what is asked of a block: an element's number, a rounding mode's and a scale rule's."""
    return data.StructLayout({"element": range(len(ELEMENTS)), "mode": range(len(Rounding)), "rule": range(len(ScaleRule))})


def check_lanes(lanes: int) -> None:
    """Refuse lanes that do not divide a block.

    Raises
    ------
    ValueError
        With the rule and the value.
    """
    if lanes < 1 or BLOCK % lanes:
        raise ValueError(f"lanes must divide {BLOCK}, not {lanes}")


class BlockScaler(wiring.Component):
    """Hold a block of normalised values until its scale is known, and subtract that from their exponents.

        reach = max(exponent + (rule is UP and |value| / 2**exponent > largest / 2**emax))
        scale = limit(reach - emax, -127, 127)

    with `largest` and `emax` those of the element format in blocks, see `quantise`. Zeros and NaNs do not count; a block with
    nothing else has the least scale.

    Latency BLOCK / lanes + 1 cycles from a full block's first word to its first word, throughput 1 word per cycle for full blocks.

    Parameters
    ----------
    lanes
        Values per word, a divisor of 32.

    Members
    -------
    i : In(stream.Signature)
        `values` (one NORMALISED per lane), `last` in the last word of a block, after at most 32 / lanes words, and `asked`
        (`block_layout`), of which the last word's counts.
    o : Out(stream.Signature)
        `values` with the exponents of the element format's own integers or numbers, `last`, `asked`, and `scale`, the block's
        E8M0 code, in every word.

    Raises
    ------
    ValueError
        If `lanes` does not divide a block.
    """

    def __init__(self, lanes: int = 1) -> None:
        check_lanes(lanes)
        self.lanes = lanes
        word = {"values": data.ArrayLayout(NORMALISED, lanes), "last": 1, "asked": block_layout()}
        super().__init__({
            "i": In(stream.Signature(data.StructLayout(word))),
            "o": Out(stream.Signature(data.StructLayout({**word, "scale": E8M0.bits}))),
        })

    @property
    def shared_name(self) -> str:
        return f"block_scaler_{self.lanes}"

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        # NaNs are in the scale from here on, and lie in the buffer as zeros: whether a value is one, its top bit, is not stored.
        entry = data.StructLayout({"values": data.ArrayLayout(NORMALISED.size - 1, self.lanes), "last": 1})
        m.submodules.buffer = buffer = SyncFIFOBuffered(width=entry.size, depth=BLOCK // self.lanes + SLACK)

        # The largest exponent.
        least = -(1 << LEADING_BITS - 1)
        reaches, stored = [], []
        for lane in range(self.lanes):
            value, kept, reach = self.i.p.values[lane], Signal(NORMALISED, name=f"kept_{lane}"), Signal(signed(LEADING_BITS))
            with m.If(~value.poisoned):
                m.d.comb += kept.eq(value)
            with m.Else():
                m.d.comb += kept.exponent.eq(least)
            m.d.comb += reach.eq(kept.exponent + self._above(m, lane, value))
            reaches.append(reach)
            stored.append(kept.as_value()[:-1])
        word_reach = _largest(m, reaches)
        best = Signal(signed(LEADING_BITS), init=least)
        reach = Signal(signed(LEADING_BITS))
        any_poisoned, poisoned = Signal(), Signal()
        m.d.comb += [
            reach.eq(Mux(best > word_reach, best, word_reach)),
            poisoned.eq(any_poisoned | Cat(value.poisoned for value in self.i.p.values).any()),
        ]

        # A block whose words are all there waits until the one before has left.
        waiting, current = Signal(), Signal()
        waiting_reach, waiting_poisoned = Signal(signed(LEADING_BITS), reset_less=True), Signal(reset_less=True)
        waiting_asked, asked = Signal(block_layout(), reset_less=True), Signal(block_layout(), reset_less=True)
        exponent, scale = Signal(signed(E8M0.bits), reset_less=True), Signal(E8M0.bits, reset_less=True)
        leave, take_over = Signal(), Signal()
        accept = self.i.valid & self.i.ready
        m.d.comb += [
            take_over.eq(~current | (leave & self.o.p.last)),
            self.i.ready.eq(buffer.w_rdy & (~waiting | take_over)),
            buffer.w_en.eq(accept),
            buffer.w_data.eq(Cat(*stored, self.i.p.last)),
        ]
        with m.If(take_over):
            m.d.sync += [current.eq(waiting), waiting.eq(0)]
        with m.If(accept):
            m.d.sync += [best.eq(reach), any_poisoned.eq(poisoned)]
            with m.If(self.i.p.last):
                m.d.sync += [
                    best.eq(least),
                    any_poisoned.eq(0),
                    waiting.eq(1),
                    waiting_reach.eq(reach),
                    waiting_poisoned.eq(poisoned),
                    waiting_asked.eq(self.i.p.asked),
                ]
        wanted, limited = Signal(signed(LEADING_BITS + 1)), Signal(signed(E8M0.bits))
        with m.Switch(waiting_asked.element):
            for number, operand in enumerate(_OPERANDS):
                with m.Case(number):
                    m.d.comb += wanted.eq(waiting_reach - operand.max_exponent)
        m.d.comb += limited.eq(Mux(wanted > E8M0.bias, E8M0.bias, Mux(wanted < -E8M0.bias, -E8M0.bias, wanted)))
        with m.If(take_over & waiting):
            m.d.sync += [
                asked.eq(waiting_asked),
                exponent.eq(limited),
                scale.eq(Mux(waiting_poisoned, E8M0.nan_code, limited + E8M0.bias)),
            ]

        # Out of the buffer.
        word = data.View(entry, buffer.r_data)
        m.d.comb += [
            self.o.valid.eq(current & buffer.r_rdy),
            leave.eq(self.o.valid & self.o.ready),
            buffer.r_en.eq(leave),
            self.o.p.last.eq(word.last),
            self.o.p.asked.eq(asked),
            self.o.p.scale.eq(scale),
        ]
        step = Signal(signed(4))
        with m.Switch(asked.element):
            for number, operand in enumerate(_OPERANDS):
                with m.Case(number):
                    m.d.comb += step.eq(operand.step_exponent - operand.element.step_exponent)
        offset = Signal(signed(E8M0.bits + 1))
        m.d.comb += offset.eq(exponent + step)
        for lane in range(self.lanes):
            held, value = data.View(NORMALISED, Cat(word.values[lane], Const(0, 1))), self.o.p.values[lane]
            m.d.comb += [
                value.eq(held),
                value.exponent.eq(Mux(held.significand[-1], held.exponent - offset, held.exponent)),
            ]
        return m

    def _above(self, m: Module, lane: int, value: data.View) -> Value:
        """Say whether the scale must be one step higher than the exponent alone demands, lest the value saturate."""
        above = Signal(name=f"above_{lane}")
        with m.Switch(self.i.p.asked.element):
            for number, operand in enumerate(_OPERANDS):
                limit = int(operand.largest * 2.0 ** (WIDTH - 1 - operand.max_exponent))
                with m.Case(number):
                    m.d.comb += above.eq((value.significand > limit) | ((value.significand == limit) & value.sticky))
        return above & (self.i.p.asked.rule == ScaleRule.UP.value) & ~value.poisoned


class BlockQuantiser(wiring.Component):
    """Quantise blocks of accumulators, sum * 2**exponent each, to elements with E8M0 scales.

    For the rule FLOOR and to nearest even the codes and scales are those of OCP MX 1.0, as `quantise.quantise` gives them.

    Latency BLOCK / lanes + 8 cycles from a full block's first word to its first word, throughput 1 word per cycle for full blocks.

    Parameters
    ----------
    accumulator_bits
        Width of a sum.
    lanes
        Values per word, a divisor of 32.

    Members
    -------
    i : In(stream.Signature)
        `values` (`sum`, `exponent` and `poisoned` per lane), `last` in the last word of a block, after at most 32 / lanes
        words, and `asked` (`block_layout`), the same in all words of a block.
    o : Out(stream.Signature)
        `codes` (8 bits per lane, the element in the lowest), `last`, and `scale`, the block's E8M0 code, in every word.
    random : In(8 * lanes)
        Uniform; only stochastic rounding looks at it.
    take : Out(1)
        The word of this cycle's `random` is used up.

    Raises
    ------
    ValueError
        If `lanes` does not divide a block.
    """

    def __init__(self, accumulator_bits: int, lanes: int = 1) -> None:
        check_lanes(lanes)
        self.accumulator_bits, self.lanes = accumulator_bits, lanes
        value = data.StructLayout({"sum": signed(accumulator_bits), "exponent": signed(EXPONENT_BITS), "poisoned": 1})
        self.tail = data.StructLayout({"last": 1, "asked": block_layout()})
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({
                "values": data.ArrayLayout(value, lanes), "last": 1, "asked": block_layout(),
            }))),
            "o": Out(stream.Signature(data.StructLayout({
                "codes": data.ArrayLayout(8, lanes), "last": 1, "scale": E8M0.bits,
            }))),
            "random": In(RANDOM_BITS * lanes),
            "take": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.scaler = scaler = BlockScaler(self.lanes)
        normalised, packed = Signal(Normaliser.LATENCY), Signal(Packer.LATENCY)
        advance, move = Signal(), Signal()
        m.d.comb += [
            advance.eq(~scaler.i.valid | scaler.i.ready),
            self.i.ready.eq(advance),
            scaler.i.valid.eq(normalised[-1]),
            move.eq(~self.o.valid | self.o.ready),
            scaler.o.ready.eq(move),
            self.take.eq(scaler.o.valid & move),
            self.o.valid.eq(packed[-1]),
        ]
        with m.If(advance):
            m.d.sync += normalised.eq(Cat(self.i.valid, normalised))
        with m.If(move):
            m.d.sync += packed.eq(Cat(scaler.o.valid, packed))
        m.d.comb += Cat(scaler.i.p.last, scaler.i.p.asked).eq(
            delay(m, "asked", Cat(self.i.p.last, self.i.p.asked), Normaliser.LATENCY, advance)
        )
        m.d.comb += Cat(self.o.p.last, self.o.p.scale).eq(
            delay(m, "scale", Cat(scaler.o.p.last, scaler.o.p.scale), Packer.LATENCY, move)
        )
        for lane in range(self.lanes):
            normaliser, packer = share(platform, Normaliser(self.accumulator_bits, WIDTH)), share(platform, Packer(ELEMENTS))
            m.submodules[f"normaliser_{lane}"], m.submodules[f"packer_{lane}"] = normaliser, packer
            value = self.i.p.values[lane]
            m.d.comb += [
                normaliser.enable.eq(advance),
                normaliser.sum.eq(value.sum),
                normaliser.exponent.eq(value.exponent),
                normaliser.poisoned.eq(value.poisoned),
                scaler.i.p.values[lane].eq(normaliser.normalised),
                packer.enable.eq(move),
                packer.normalised.eq(scaler.o.p.values[lane]),
                packer.wanted.target.eq(scaler.o.p.asked.element),
                packer.wanted.mode.eq(scaler.o.p.asked.mode),
                packer.random.eq(self.random.word_select(lane, RANDOM_BITS)),
                self.o.p.codes[lane].eq(packer.code),
            ]
        return m


_OPERANDS = tuple(Operand(element.name, element, BLOCK) for element in ELEMENTS)
"""Each element in blocks: integers are fractions there."""


def _largest(m: Module, values: list[Value]) -> Value:
    """Give the largest of signed numbers, by a tree."""
    while len(values) > 1:
        pairs = list(zip(values[::2], values[1::2], strict=True))
        level = [Signal(signed(LEADING_BITS), name=f"largest_{len(pairs)}_{i}") for i in range(len(pairs))]
        m.d.comb += [larger.eq(Mux(a > b, a, b)) for larger, (a, b) in zip(level, pairs, strict=True)]
        values = list(level)
    return values[0]
