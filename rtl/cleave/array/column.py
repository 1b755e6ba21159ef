"""The column: a slab's cells above each other, with the controls that reach them from the column's head."""

from amaranth.hdl import Cat, Elaboratable, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import OPERAND_BITS, ArrayConfig, bits_for
from ..hdl import delay, share
from ..numerics.decode import PairDecoder
from ..numerics.formats import PAIRS
from .cells import make_cell


class Column(wiring.Component):
    """One column of a slab, `cells` cells high; cell row r works one cycle after cell row r - 1.

    A moving row whose operands for cell row r stand in `from_west[r]` in cycle t + r gives::

        to_east[r](t + r + 1)             = from_west[r](t + r)
        product[lane](t + cells + stages) = sum over the slab's rows of moving * stationary[lane]

    Parameters
    ----------
    config
        Shape of the array.

    Members
    -------
    from_west : In(8 * dot).array(cells), to_east : Out(8 * dot).array(cells)
        Moving operands.
    swap : In(1)
        In cycle t - 1: the moving row of cycle t is the first to meet the waiting stationary operands.
    write : In(1), index : In(log2(load_cycles)), stationary : In(8 * load_rows)
        Stationary rows [index * load_rows, (index + 1) * load_rows) are written, `head_latency` cycles later.
    pairs : In(2)
        With two lanes: what each byte of `stationary` is, as `PairDecoder` has it.
    product : Out(signed(sum_bits)).array(lanes)
        The slab's dot products of this column.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        super().__init__({
            "from_west": In(OPERAND_BITS * config.dot).array(config.cells),
            "to_east": Out(OPERAND_BITS * config.dot).array(config.cells),
            "swap": In(1),
            "write": In(1),
            "index": In(bits_for(config.load_cycles)),
            "stationary": In(OPERAND_BITS * config.load_rows),
            "product": Out(signed(config.sum_bits)).array(config.lanes),
        } | ({"pairs": In(bits_for(len(PAIRS)))} if config.lanes > 1 else {}))

    @property
    def shared_name(self) -> str:
        return "column"

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config = self.config
        groups = config.dot // config.load_rows
        swap = self.swap
        south = [0] * config.lanes
        cells = [share(platform, make_cell(config)) for _ in range(config.cells)]
        write, index, operands = (
            delay(m, name, value, config.head_latency)
            for name, value in [("write", self.write), ("index", self.index), ("operands", self._operands(m))]
        )
        packed = Signal(len(cells[0].stationary))
        m.d.comb += packed.eq(cells[0].pack(operands))
        for row, cell in enumerate(cells):
            m.submodules[f"cell_{row}"] = cell
            m.d.comb += [
                cell.from_west.eq(self.from_west[row]),
                self.to_east[row].eq(cell.to_east),
                *(north.eq(sum_) for north, sum_ in zip(cell.from_north, south, strict=True)),
                cell.stationary.eq(packed),
                cell.swap.eq(swap),
            ]
            m.d.comb += [
                cell.write[group].eq(write & (index == row * groups + group)) for group in range(groups)
            ]
            swap_south = Signal(name=f"swap_{row + 1}")
            m.d.sync += swap_south.eq(swap)
            swap, south = swap_south, cell.to_south
        m.d.comb += [product.eq(sum_) for product, sum_ in zip(self.product, south, strict=True)]
        return m

    def _operands(self, m: Module) -> Value:
        """Give the operands of all lanes in the stationary bytes."""
        if self.config.lanes == 1:
            return self.stationary
        operands = []
        for number in range(self.config.load_rows):
            m.submodules[f"decoder_{number}"] = decoder = PairDecoder(self.config.stationary_bits)
            m.d.comb += [decoder.code.eq(self.stationary.word_select(number, OPERAND_BITS)), decoder.element.eq(self.pairs)]
            operands += decoder.lanes
        return Cat(operands)
