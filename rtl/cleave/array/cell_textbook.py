"""The textbook processing element, to compare with: one product and one addition of full width."""

from amaranth.hdl import Module, Signal

from .cell import Cell


class TextbookCell(Cell):
    """A `Cell` with `dot` 1 whose sums have the accumulators' width, in the words of a textbook: sum + a * b, registered."""

    def multiply(self, m: Module, platform: object, waiting: Signal) -> None:
        held = self.hold(m, waiting)
        south = Signal.like(self.to_south[0], name="south", reset_less=True)
        m.d.sync += south.eq(self.from_north[0] + self.from_west.as_signed() * held.as_signed())
        m.d.comb += self.to_south[0].eq(south)
