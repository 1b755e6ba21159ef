"""The cell in an ECP5 FPGA: its products in MULT18X18D, with the multipliers' own registers."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value

from ..config import OPERAND_BITS, ArrayConfig
from ..hdl import delay
from .cell import Cell

FACTOR_BITS = 18
"""Width of a MULT18X18D's factors."""

BELOW = Const(0, FACTOR_BITS - OPERAND_BITS)
"""What is below an operand of `OPERAND_BITS`, which stands in a factor's highest bits."""

HIGH_FIELD = 13
"""Place of the high field where two lanes share a product: moving * (w1 * 2**13 + w0) = high * 2**13 + low."""

FIELD_BITS = 12
"""Width of either field: of moving * w, for w from -15 to 15."""


class Ecp5Cell(Cell):
    """A `Cell`, with its ports and its timing, of one MULT18X18D per moving operand, for one lane or for two.

    Two lanes share the product P of the moving operand a and `w1 * 2**13 + w0`, exactly::

        a * w0 = P[0:12] (signed)
        a * w1 = P[13:25] (signed) + P[11]        as a negative low field has borrowed 1 from the high one

    The borrow is given back as the carry of an adder that is there anyway: a cell has as many adders as products. So nothing
    is spent on unpacking, and packing is done once per column.

    The first of the `multiply_stages` are the registers of both factors; `registers` tells where the others are. None has a
    clock enable, not even the stationary factor's: the four multipliers of a DSP block share four enables, and cells that
    swap in different cycles could not all be placed. So what is held is held beside the multiplier.
    """

    def pack(self, operands: Value) -> Value:
        """Give {w1 - (w0 < 0), w0} for two lanes: with the sign of w0 between them they are w1 * 2**13 + w0."""
        if self.config.lanes == 1:
            return operands
        places = []
        for i in range(self.config.load_rows):
            w0, w1 = (self.stationary_operand(operands, i, lane).as_signed() for lane in range(2))
            places += [w0, (w1 - w0[-1])[: self.config.lane_bits]]
        return Cat(places)

    def multiply(self, m: Module, platform: object, waiting: Signal) -> None:
        held = self.hold(m, waiting)
        stages, pipeline, tree = registers(self.config)
        products = []
        for i in range(self.config.dot):
            moving = Cat(BELOW, self.from_west.word_select(i, OPERAND_BITS))
            stationary = self._factor(held.word_select(i, self.place_bits))
            product = Signal(2 * FACTOR_BITS, name=f"product_{i}")
            m.submodules[f"multiplier_{i}"] = multiplier(moving, stationary, product, pipeline=pipeline)
            products.append(delay(m, f"product_{i}", product, stages - 1))

        for lane in range(self.config.lanes):
            terms = [self._field(product, lane) for product in products]
            carries = [self._field(product, 0)[-1] for product in products] if lane else []
            for level, registered in enumerate(tree):
                terms = [add(*terms[n : n + 2], carries[n // 2 :][:1]) for n in range(0, len(terms), 2)]
                carries = carries[len(terms) :]
                terms = [delay(m, f"term_{lane}_{level}_{n}", term, registered) for n, term in enumerate(terms)]
                carries = [delay(m, f"carry_{lane}_{level}_{n}", carry, registered) for n, carry in enumerate(carries)]
            south = Signal.like(self.to_south[lane], name=f"south_{lane}", reset_less=True)
            m.d.sync += south.eq(add(self.from_north[lane], *terms, carries))
            m.d.comb += self.to_south[lane].eq(south)

    def _factor(self, place: Value) -> Value:
        """Give the stationary factor that a place holds."""
        if self.config.lanes == 1:
            return Cat(BELOW, place)
        w0, high = place[: self.config.lane_bits], place[self.config.lane_bits :]
        return Cat(w0, w0[-1].replicate(HIGH_FIELD - len(w0)), high, high[-1].replicate(FACTOR_BITS))[:FACTOR_BITS]

    def _field(self, product: Value, lane: int) -> Value:
        """Give the field of the product with a lane's term."""
        if self.config.lanes == 1:
            return product[-2 * OPERAND_BITS :].as_signed()
        begin = len(BELOW) + lane * HIGH_FIELD
        return product[begin : begin + FIELD_BITS].as_signed()


def registers(config: ArrayConfig) -> tuple[int, bool, list[bool]]:
    """Tell where the multiply stages after the first are.

    Returns
    -------
    product : int
        At the multiplier's output: first its own register; third one in the fabric, halfway to the adder; and what is left.
    pipeline : bool
        In the middle of the multiplier: fourth.
    tree : list of bool
        After each level of the tree that adds the `dot` products: second, the last level before the others.
    """
    levels = (config.dot - 1).bit_length()
    left = config.multiply_stages - 2
    tree = [levels - level <= left for level in range(levels)]
    left -= sum(tree)
    pipeline = left > 1
    return 1 + left - pipeline, pipeline, tree


def add(a: Value, b: Value, carry: list[Value]) -> Value:
    """Give a + b + carry, if there is one, in one chain of carries: it begins with carry + carry."""
    return (Cat(carry, a).as_signed() + Cat(carry, b).as_signed())[len(carry) :].as_signed()


def multiplier(a: Value, b: Value, product: Signal, *, pipeline: bool) -> Instance:
    """Instantiate a signed MULT18X18D with registers at its inputs, at its output and, with `pipeline`, between them.

    Ports and parameters are those of Lattice's ECP5 sysDSP Usage Guide (FPGA-TN-02205); `mult18x18d.v` has their meaning.
    """
    registers = ["INPUTA", "INPUTB", *(["PIPELINE"] if pipeline else []), "OUTPUT"]
    return Instance(
        "MULT18X18D",
        *(("p", f"REG_{register}_CLK", "CLK0") for register in registers),
        p_GSR="DISABLED", i_CLK0=ClockSignal(), i_CE0=Const(1), i_RST0=Const(0),
        i_SIGNEDA=Const(1), i_SIGNEDB=Const(1), i_SOURCEA=Const(0), i_SOURCEB=Const(0),
        **{f"i_{name}{bit}": factor[bit] for name, factor in (("A", a), ("B", b)) for bit in range(FACTOR_BITS)},
        **{f"o_P{bit}": product[bit] for bit in range(2 * FACTOR_BITS)},
    )  # fmt: skip
