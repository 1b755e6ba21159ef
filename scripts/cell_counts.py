"""Count the adders, gates and registers of generated multiply-accumulates, against dot * p * q AND and as many full adders.

A tree only ever removes bits: a full adder one, a half adder none. So what is added up decides how many full adders there
are, not how: with W bits of sum, dot * p * q + W + ones bits go in and W come out, where `ones` are those of the constant that
corrects all signs (without the sum's top bit, where a one is an inverter). Exactly::

    full adders = dot * p * q + ones + tied - plus - top

`plus` are ones that a full adder would have met, and a simpler adder does; `top` the XOR of the highest column, whose carries
fall out of the sum; `tied` inputs at 0 of the last adder, in columns where only one bit was left. Registers are those of a
cell: dot * (p + 2 * q) of operands, two of them stationary, W of the sum, and what `stages` hold in between.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from itertools import product

from rich.console import Console
from rich.table import Table

from cleave.gates.dot import DotProduct
from cleave.gates.netlist import Netlist, netlist

SHAPES = [(1, 4, 4), (1, 8, 4), (1, 8, 8), (1, 16, 16), (2, 8, 8), (4, 8, 8), (8, 8, 8), (16, 8, 8)]
"""dot, p and q of the table's rows."""

SUMS = 32
"""Products that the sum's width allows for."""


@dataclass(frozen=True)
class Counts:
    """Cells of a generated dot-product cell, and the terms of their difference from the closed formula."""

    dot: int
    p: int
    q: int
    width: int
    reduction: str
    stages: int
    products: int
    full_adders: int
    half_adders: int
    ands: int
    ones: int
    tied: int
    plus: int
    top: int
    registers: int

    @property
    def explained(self) -> int:
        """Full adders as the formula has them."""
        return self.products + self.ones + self.tied - self.plus - self.top

    @property
    def exact(self) -> bool:
        """Whether nothing differs that is not explained."""
        return self.full_adders == self.explained and self.ands == self.products


def count(dot: int, p: int, q: int, *, reduction: str = "dadda", stages: int = 0, products: int = SUMS) -> Counts:
    """Count a cell of `dot` products of p x q bits, whose sum holds `products` of them, with a ripple adder at the end."""
    width = p + q + (products - 1).bit_length()
    cells = netlist(DotProduct(dot, p, q, width, reduction=reduction, adder="ripple", stages=stages))
    correction = dot * (2 ** (p - 1) + 2 ** (q - 1) - 2 ** (p + q - 1))
    return Counts(
        dot, p, q, width, reduction, stages,
        products=dot * p * q,
        full_adders=cells.count("fa"),
        half_adders=cells.count("ha"),
        ands=cells.count("and"),
        ones=(correction % 2 ** (width - 1)).bit_count(),
        tied=_tied(cells),
        plus=cells.count("hap"),
        top=cells.count("xor"),
        registers=dot * (p + 2 * q) + width + cells.count("register"),
    )  # fmt: skip


def _tied(cells: Netlist) -> int:
    """Count the inputs of adders that are 0."""
    pins = [nets for cell in cells.cells if cell.kind in ("fa", "ha", "hap", "$_XOR_") for nets in cell.inputs.values()]
    return pins.count(("0",))


def main() -> int:
    """Print the table; status 1 if a difference is not explained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    rows = [count(*shape, reduction=r, stages=s) for shape, r, s in product(SHAPES, ("dadda", "wallace"), (0, 1))]
    if arguments.json:
        print(json.dumps([asdict(row) | {"explained": row.explained, "exact": row.exact} for row in rows], indent=2))
    else:
        table = Table("cell", "sum", "tree", "stages", "AND", "FA", "= dpq", "+ ones", "+ tied", "- plus", "- top", "HA",
                      "registers", "FA / MAC", "reg. / MAC")  # fmt: skip
        for row in rows:
            numbers = [row.ands, row.full_adders, row.products, row.ones, row.tied, row.plus, row.top, row.half_adders]
            per_mac = [f"{row.full_adders / row.dot:.1f}", f"{row.registers / row.dot:.1f}"]
            table.add_row(
                f"{row.dot} x {row.p} x {row.q}", str(row.width), row.reduction, str(row.stages), *map(str, numbers),
                str(row.registers), *per_mac,
            )  # fmt: skip
        Console(width=None if sys.stdout.isatty() else 160).print(table)
    good = all(row.exact for row in rows)
    print(f"{len(rows)} cells, every difference explained" if good else "a difference is not explained", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
