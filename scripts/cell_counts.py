"""Count the adders, gates and registers of generated multiply-accumulates, against dot * p * q AND and as many full adders.

A tree only ever removes bits: a full adder one, a half adder none. So what is added up decides how many full adders there
are, not how: with W bits of sum, bits + W + ones go in and W come out, where `bits` are dot * p * q of products, or
dot / 2 * p * (q + 1) of paired ones, and `ones` are those of the constant that corrects all signs (without the sum's top bit,
where a one is an inverter). Exactly::

    full adders = bits + ones + tied - plus - top + sums

`plus` are ones that a full adder would have met, and a simpler adder does; `top` the XOR of the highest column, whose carries
fall out of the sum; `tied` inputs at 0 of the last adder, in columns where only one bit was left; `sums` the adders of paired
stationary operands, one of q + 1 bits to two products. A product's bit takes an AND (in a difference a NAND, made of an AND here);
a paired one three, and three more for each bit of the moving operands. Registers are those of a cell: dot * (p + 2 * q) of
operands, two of them stationary, q + 1 for each sum of two, W of the sum, and what `stages` hold in between.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from itertools import product

from rich.console import Console
from rich.table import Table

from cleave.gates.adders import Adder
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
    products: str
    reduction: str
    stages: int
    bits: int
    full_adders: int
    half_adders: int
    ands: int
    ones: int
    tied: int
    plus: int
    top: int
    sums: int
    registers: int

    @property
    def explained(self) -> int:
        """Full adders as the formula has them."""
        return self.bits + self.ones + self.tied - self.plus - self.top + self.sums

    @property
    def explained_ands(self) -> int:
        """AND gates as the formula has them."""
        return self.bits if self.products != "paired" else 3 * self.bits + 3 * self.p * self.dot // 2

    @property
    def exact(self) -> bool:
        """Whether nothing differs that is not explained."""
        return self.full_adders == self.explained and self.ands == self.explained_ands


def count(
    dot: int, p: int, q: int, *, products: str = "baugh_wooley", reduction: str = "dadda", stages: int = 0, sums: int = SUMS
) -> Counts:
    """Count a cell of `dot` products of p x q bits, whose sum holds `sums` of them, with a ripple adder at the end.

    Paired products are subtracted, as the cell in gates has them.
    """
    width = p + q + (sums - 1).bit_length()
    is_paired = products == "paired"
    cells = netlist(
        DotProduct(dot, p, q, width, products=products, reduction=reduction, adder="ripple", stages=stages, subtract=is_paired)
    )
    pairs = dot // 2 if is_paired else 0
    pair_adder = netlist(Adder(q + 1, "ripple")).count("fa") if is_paired else 0
    terms = pairs or dot
    bits = [
        (k + j, (k == p - 1) != (j == (q if is_paired else q - 1)))
        for k, j in product(range(p), range(q + 1 if is_paired else q))
    ]  # weight, and whether it counts as negative
    correction = -terms * sum(1 << weight for weight, negative in bits if negative != is_paired)
    return Counts(
        dot, p, q, width, products, reduction, stages,
        bits=terms * len(bits),
        full_adders=cells.count("fa") + pairs * pair_adder,
        half_adders=cells.count("ha"),
        ands=cells.count("and"),
        ones=(correction % 2 ** (width - 1)).bit_count(),
        tied=_tied(cells),
        plus=cells.count("hap"),
        top=cells.count("xor"),
        sums=pairs * pair_adder,
        registers=dot * (p + 2 * q) + pairs * (q + 1) + width + cells.count("register"),
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
    kinds = [("baugh_wooley", "dadda"), ("baugh_wooley", "wallace"), ("paired", "reduced_area")]
    rows = [
        count(*shape, products=kind, reduction=reduction, stages=stages)
        for shape, (kind, reduction), stages in product(SHAPES, kinds, (0, 1))
        if kind != "paired" or shape[0] % 2 == 0
    ]
    if arguments.json:
        print(json.dumps([asdict(row) | {"explained": row.explained, "exact": row.exact} for row in rows], indent=2))
    else:
        table = Table("cell", "sum", "products", "tree", "stages", "AND", "FA", "= bits", "+ ones", "+ tied", "- plus", "- top",
                      "+ sums", "HA", "registers", "FA / MAC", "reg. / MAC")  # fmt: skip
        for row in rows:
            numbers = [row.ands, row.full_adders, row.bits, row.ones, row.tied, row.plus, row.top, row.sums, row.half_adders]
            per_mac = [f"{row.full_adders / row.dot:.1f}", f"{row.registers / row.dot:.1f}"]
            table.add_row(
                f"{row.dot} x {row.p} x {row.q}", str(row.width), row.products, row.reduction, str(row.stages), *map(str, numbers),
                str(row.registers), *per_mac,
            )  # fmt: skip
        Console(width=None if sys.stdout.isatty() else 160).print(table)
    good = all(row.exact for row in rows)
    print(f"{len(rows)} cells, every difference explained" if good else "a difference is not explained", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
