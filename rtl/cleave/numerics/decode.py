"""Element codes to integers, on their way into the operand banks."""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .formats import E2M1, ELEMENTS, INT4, INT8, PAIRS, Format, Kind

__all__ = ["ElementDecoder", "PairDecoder"]


class ElementDecoder(wiring.Component):
    """Decode one element code to a signed integer that uses all 8 bits.

        decoded = value(code) * 2**(alignment - step_exponent), those of ELEMENTS[element]

    Exact for every code; a negative zero becomes 0. Combinational. Float elements have the same exponents, so that the narrower
    ones are the widest with zeros below their mantissa.

    Members
    -------
    code : In(8)
        The code in the lowest bits; the bits above a shorter code do not matter.
    element : In(2)
        Number of the format in `ELEMENTS`.
    decoded : Out(signed(8))
    """

    shared_name = "element_decoder"

    def __init__(self) -> None:
        super().__init__({"code": In(INT8.bits), "element": In(range(len(ELEMENTS))), "decoded": Out(signed(INT8.bits))})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        widest = max((element for element in ELEMENTS if element.kind is Kind.FLOAT), key=lambda element: element.bits)
        wide, decoded = Signal(widest.bits), Signal(signed(widest.decoded_bits))
        _look_up(m, widest, wide, decoded)
        with m.Switch(self.element):
            for number, element in enumerate(ELEMENTS):
                with m.Case(number):
                    code = self.code[: element.bits]
                    if element.kind is Kind.INTEGER:
                        m.d.comb += self.decoded.eq(Cat(Const(0, element.alignment), code))
                    else:
                        m.d.comb += [
                            wide.eq(Cat(Const(0, widest.bits - element.bits), code)),
                            self.decoded.eq(Cat(Const(0, widest.alignment), decoded)),
                        ]
        return m


class PairDecoder(wiring.Component):
    """Decode a byte of a stationary tile to the operands of two lanes, lane 0's in its low half.

        INT8    lane 0 has the low nibble without sign, lane 1 the high one: value = 16 * lanes[1] + lanes[0]
        INT4    the values
        E2M1    twice the values

    So no operand is -16, which a multiplier's field does not hold. Combinational.

    Parameters
    ----------
    bits
        Of a lane's code: 4.

    Members
    -------
    code : In(2 * bits)
    element : In(2)
        Number of the format in `PAIRS`.
    lanes : Out(signed(bits + 1)).array(2)
    """

    shared_name = "pair_decoder"

    def __init__(self, bits: int = INT4.bits) -> None:
        self.bits = bits
        super().__init__({
            "code": In(2 * bits),
            "element": In(range(len(PAIRS))),
            "lanes": Out(signed(bits + 1)).array(2),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        for number, lane in enumerate(self.lanes):
            nibble = self.code.word_select(number, self.bits)
            m.d.comb += lane.eq(nibble.as_signed())
            with m.If((self.element == PAIRS.index(INT8)) & (number == 0)):
                m.d.comb += lane.eq(nibble)
            if self.bits == E2M1.bits:  # proofs of narrower lanes have no such format
                with m.If(self.element == PAIRS.index(E2M1)):
                    _look_up(m, E2M1, nibble, lane)
        return m


def _look_up(m: Module, element: Format, code: Value, decoded: Signal) -> None:
    """Decode by a table: in an FPGA a carry chain, which a negation would become, is slower than its look-up tables."""
    with m.Switch(code):
        for number, integer in enumerate(element.integers):
            with m.Case(number):
                m.d.comb += decoded.eq(int(integer))
