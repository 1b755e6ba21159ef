"""The seam: where a slab's sum meets the slab above and the accumulators, and where the array is cut."""

from amaranth.hdl import Assert, Cat, Const, Elaboratable, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import OPERAND_BITS, EngineConfig, bits_for
from ..gates.board import Board
from ..gates.heap import BitHeap
from ..hdl import share
from ..memory.ram import Ram1r1w
from .tokens import row_layout


class Seam(wiring.Component):
    """One column of a seam, of one lane, and its accumulators.

    With the same row's token in `read` in cycle t - 1, `add` in cycle t and `write` in cycle t + 1::

        ~to_south(t + 1) = (~from_north(t) if fused) + scaled(t) + (accumulator[address] if accumulate)

    and, if `write`, the accumulator is overwritten with it in cycle t + 1; a read of it from cycle t + 2 on sees the
    new value. Cutting the array is `fused = 0`.

    `scaled` is the product, or with `block_scales` the product in the uppermost bits of an accumulator, shifted right by
    `add.shift` and, if `add.scaled`, the held distance together; what is shifted out is dropped (rounding towards minus infinity).
    The held distance is the one last written before a `read` token with `swap`.

    Running sums and accumulators are kept as complements: what they are chosen by is a NOR then, the smallest of gates.

    The accumulators are two memories, of even and of odd rows, so that the drain can read while a pass accumulates.

    Parameters
    ----------
    config
        Uses `accumulator_depth`, `accumulator_bits`, `block_scales` and the array's `product_bits`.

    Members
    -------
    product : In(signed(product_bits))
        The slab's own dot product, which always starts from zero.
    from_north, to_south : In(signed(accumulator_bits)), Out(signed(accumulator_bits))
        Running sum of a fused partition, as its complement.
    read, add, write : In(row token)
        The row's token, a cycle apart.
    drain : In(1), drain_address : In(...)
        Read for the drain; not while `read` accumulates a row of the same parity (an assertion says so).
    drained_half : In(2), drained : Out(signed(accumulator_bits))
        Halves, even and odd, that the drain read in the cycle before, one or none; the drain's word from there, or 0.
    distance : In(8), distance_write : In(1)
        With `block_scales`: how far the column's next block is below the column's anchor, as a power of 2.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        row = row_layout(config)
        super().__init__({
            "product": In(signed(config.array.product_bits)),
            "from_north": In(signed(config.accumulator_bits)),
            "to_south": Out(signed(config.accumulator_bits)),
            "read": In(row),
            "add": In(row),
            "write": In(row),
            "drain": In(1),
            "drain_address": In(bits_for(config.accumulator_depth)),
            "drained_half": In(2),
            "drained": Out(signed(config.accumulator_bits)),
        } | ({"distance": In(OPERAND_BITS), "distance_write": In(1)} if config.block_scales else {}))

    @property
    def shared_name(self) -> str:
        return "seam"

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        bits = self.config.accumulator_bits
        accumulators = []
        for half, name in enumerate(["even", "odd"]):
            m.submodules[name] = bank = share(platform, Ram1r1w(self.config.accumulator_depth // 2, bits))
            accumulate = self.read.accumulate & (self.read.address[0] == half)
            drain = self.drain & (self.drain_address[0] == half)
            m.d.comb += [
                bank.read.enable.eq(accumulate | drain),
                bank.read.address.eq(Mux(accumulate, self.read.address, self.drain_address) >> 1),
                bank.write.enable.eq(self.write.write & (self.write.address[0] == half)),
                bank.write.address.eq(self.write.address >> 1),
                bank.write.data.eq(self.to_south),
            ]
            m.d.sync += Assert(~(accumulate & drain), "drain collides with a pass")
            accumulators.append(bank.read.data)

        even, odd = accumulators
        gate = [self.drained_half[half].replicate(bits) for half in (0, 1)]
        m.d.comb += self.drained.eq((~even & gate[0]) | (~odd & gate[1]))

        above = ~self.from_north & self.add.fused.replicate(bits)
        half = self.add.address[0]
        gate = [(self.add.accumulate & chosen).replicate(bits) for chosen in (~half, half)]
        accumulator = (~even & gate[0]) | (~odd & gate[1])
        complement = Signal.like(self.to_south, reset_less=True)
        m.d.sync += complement.eq(~self._sum(m, platform, above.as_signed(), self._scaled(m), accumulator.as_signed()))
        m.d.comb += self.to_south.eq(complement)
        return m

    def _scaled(self, m: Module) -> Value:
        """Give the product with its block's scale."""
        if not self.config.block_scales:
            return self.product
        waiting = Signal(self.config.shift_bits, reset_less=True)
        held = Signal(self.config.shift_bits, reset_less=True)
        with m.If(self.distance_write):
            m.d.sync += waiting.eq(saturated(self.distance, self.config.shift_bits))
        with m.If(self.read.swap):
            m.d.sync += held.eq(waiting)
        shift = Signal(self.config.shift_bits)
        distance = held & self.add.scaled.replicate(len(held))
        m.d.comb += shift.eq(saturated(self.add.shift + distance, self.config.shift_bits))
        below = Const(0, self.config.accumulator_bits - len(self.product))
        return Cat(below, self.product).as_signed() >> shift

    def _sum(self, m: Module, platform: object, *numbers: Value) -> Value:
        """Add signed numbers, modulo 2**accumulator_bits, with the gates of the cells."""
        if self.config.array.cell != "gates":
            return sum(numbers, start=Const(0, 1))
        board, heap = Board(m, platform), BitHeap(self.config.accumulator_bits)
        for number in numbers:
            heap.add_number([*number], is_signed=True)
        heap.reduce(board, "reduced_area")
        return Cat(*heap.total(board, "brent_kung"))


def saturated(value: Value, bits: int) -> Value:
    """Give an unsigned value in `bits` bits, the largest number of them if it does not fit."""
    return value[:bits] | value[bits:].any().replicate(bits)
