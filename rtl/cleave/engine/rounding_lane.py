"""Rounding in the drain: an accumulator, with the records of its row and its column, to a code of any target format."""

from amaranth.hdl import Elaboratable, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import ACCUMULATOR_BITS
from ..hdl import share
from ..numerics.drain import ROUND_RECORD
from ..numerics.normalise import EXPONENT_BITS
from ..numerics.rounder import MODES, Rounder, between_layout, format_layout
from ..numerics.rounding import Rounding

__all__ = ["ROUNDING_RECORD", "RoundingLane"]

RECORD_BITS = {name: 8 * ROUND_RECORD[name].itemsize for name in ("exponent", "random", "anchor")}

ROUNDING_RECORD = data.StructLayout({
    "exponent": signed(RECORD_BITS["exponent"]), "random": RECORD_BITS["random"], "anchor": RECORD_BITS["anchor"], "nan": 1,
})  # fmt: skip
"""What rounding reads of a record in memory, from its bit 0 on. The rest does not count."""


class RoundingLane(wiring.Component):
    """Round one accumulator.

        code = round_to_target(accumulator * 2**(row.exponent + column.exponent)), or NaN if either record says so

    A negative accumulator is 0 with `relu`. Stochastic rounding takes the exclusive or of the records' random numbers.

    Latency `LATENCY` cycles in which `enable` is high, throughput 1.

    Parameters
    ----------
    accumulator_bits
        Width of the accumulator, 2 to 64.
    modes
        The rounding modes that may be asked for.

    Members
    -------
    enable : In(1)
    accumulator : In(signed(accumulator_bits))
    row, column : In(ROUNDING_RECORD)
    relu : In(1)
    wanted : In(format_layout())
    code : Out(32)
        The code in the lowest bits, zeros above.
    between, replace, replacement
        As the `Rounder` has them.
    """

    LATENCY = Rounder.LATENCY

    def __init__(self, accumulator_bits: int, modes: tuple[Rounding, ...] = MODES) -> None:
        self.accumulator_bits, self.modes = accumulator_bits, modes
        super().__init__({
            "enable": In(1),
            "accumulator": In(signed(accumulator_bits)),
            "row": In(ROUNDING_RECORD),
            "column": In(ROUNDING_RECORD),
            "relu": In(1),
            "wanted": In(format_layout()),
            "code": Out(ACCUMULATOR_BITS),
            "between": Out(between_layout()),
            "replace": In(1),
            "replacement": In(between_layout()),
        })

    @property
    def shared_name(self) -> str:
        return "_".join(["rounding_lane", str(self.accumulator_bits), *(mode.name.lower() for mode in self.modes)])

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.rounder = rounder = share(platform, Rounder(self.accumulator_bits, modes=self.modes))
        # A limited exponent gives the same code: from 2**511 on all but zero overflow, and 63 bits below 2**-512 are nothing but
        # sticky in all formats, whose least step is 2**-149.
        limit = 1 << EXPONENT_BITS - 1
        exponent = Signal(signed(RECORD_BITS["exponent"] + 1))
        m.d.comb += [
            exponent.eq(self.row.exponent + self.column.exponent),
            rounder.enable.eq(self.enable),
            rounder.sum.eq(Mux(self.relu & (self.accumulator < 0), 0, self.accumulator)),
            rounder.exponent.eq(Mux(exponent >= limit, limit - 1, Mux(exponent < -limit, -limit, exponent))),
            rounder.poisoned.eq(self.row.nan | self.column.nan),
            rounder.wanted.eq(self.wanted),
            rounder.random.eq(self.row.random ^ self.column.random),
            self.code.eq(rounder.code),
            self.between.eq(rounder.between),
            rounder.replace.eq(self.replace),
            rounder.replacement.eq(self.replacement),
        ]
        return m
