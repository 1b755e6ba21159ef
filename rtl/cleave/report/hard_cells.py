"""Cells of the libraries that the generators' own gates stand for, and cells that no mapping may take."""

from dataclasses import dataclass

from .liberty import Library

__all__ = ["HardCell", "HARD_CELLS", "DONT_USE", "hard_cells"]

GATES = {
    "fa": {"sum": "a ^ b ^ c", "carry": "(a & b) | (c & (a ^ b))"},
    "ha": {"sum": "a ^ b", "carry": "a & b"},
    "aoi222": {"y": "~((a0 & b0) | (a1 & b1) | (a2 & b2))"},
}
"""Outputs of the components of `cleave.gates.board` for which there are hard cells, by shared name."""


@dataclass(frozen=True)
class HardCell:
    """A library's cell with the function of one of `GATES`.

    Attributes
    ----------
    gate
        The gate.
    cell
        The library's cell.
    pins
        The cell's pin for each port of the gate.
    complemented
        The cell's outputs are the complements; abc merges the inverters behind them with what follows.
    """

    gate: str
    cell: str
    pins: dict[str, str]
    complemented: bool = False

    def techmap(self, design: str) -> str:
        """Write the rule by which yosys' `techmap` puts the cell in the gate's place, where no input is constant."""
        outputs = GATES[self.gate]
        inputs = [port for port in self.pins if port not in outputs]
        inverse = "~" if self.complemented else ""
        wires = {port: f"{port}_pin" if port in outputs else port for port in self.pins}
        return "\n".join([
            f"module {design}_{self.gate}(input clk, rst, {', '.join(inputs)}, output {', '.join(outputs)});",
            *(f"parameter _TECHMAP_CONSTMSK_{port}_ = 0;" for port in inputs),
            f"generate if ({' || '.join(f'_TECHMAP_CONSTMSK_{port}_' for port in inputs)}) begin",
            *(f"assign {port} = {function};" for port, function in outputs.items()),
            "end else begin",
            *(f"wire {port}_pin; assign {port} = {inverse}{port}_pin;" for port in outputs),
            f"{self.cell} _TECHMAP_REPLACE_ ({', '.join(f'.{pin}({wires[port]})' for port, pin in self.pins.items())});",
            "end endgenerate endmodule",
            "",
        ])


_ADDENDS = {"a": "A", "b": "B"}
_FACTORS = {"a0": "A1", "b0": "A2", "a1": "B1", "b1": "B2", "a2": "C1", "b2": "C2", "y": "Y"}

HARD_CELLS = (
    HardCell("fa", "sky130_fd_sc_hd__fa_1", _ADDENDS | {"c": "CIN", "sum": "SUM", "carry": "COUT"}),
    HardCell("ha", "sky130_fd_sc_hd__ha_1", _ADDENDS | {"sum": "SUM", "carry": "COUT"}),
    HardCell("aoi222", "sky130_fd_sc_hd__a222oi_1", _FACTORS),
    HardCell("fa", "FAx1_ASAP7_75t_R", _ADDENDS | {"c": "CI", "sum": "SN", "carry": "CON"}, complemented=True),
    HardCell("ha", "HAxp5_ASAP7_75t_R", _ADDENDS | {"sum": "SN", "carry": "CON"}, complemented=True),
    HardCell("aoi222", "AOI222xp33_ASAP7_75t_R", _FACTORS),
)
"""Of each library; what is not here abc makes of other cells."""

DONT_USE = (
    "*__lpflow_*", "*__probe*", "*__macro_sparecell", "*__clkdlybuf*", "*__dlygate*", "*__dlymetal*",
    "sg13g2_dlygate*", "sg13g2_sighold",
)  # fmt: skip
"""Cells for power domains, probing, spare gates and delay."""


def hard_cells(library: Library) -> list[HardCell]:
    """Give those that a library has."""
    return [cell for cell in HARD_CELLS if cell.cell in library.areas_um2]
