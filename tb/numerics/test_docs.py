"""The tables of formats in docs/numerics.md are those of the table of formats."""

from pathlib import Path

from cleave.numerics.formats import ELEMENTS, OPERANDS, TARGETS, Kind, Specials, product_bits
from cleave.numerics.rounder import Rounder
from cleave.numerics.slices import PRECISIONS

TEXT = (Path(__file__).parents[2] / "docs" / "numerics.md").read_text()
SPECIAL = {Specials.NONE: "none", Specials.NAN: "NaN", Specials.IEEE: "both"}


def test_formats() -> None:
    rows = []
    for target in TARGETS:
        is_integer = target.kind is Kind.INTEGER
        cells = [
            target.name, str(target.bits), f"{target.exponent_bits}, {target.mantissa_bits}",
            "" if is_integer else str(target.bias), "1" if is_integer else f"2^{target.step_exponent}",
            f"{target.largest:g}", SPECIAL[target.specials],
            f"{target.decoded_bits} bits" if target in ELEMENTS else "",
        ]  # fmt: skip
        rows.append("".join(f"| {cell} " if cell else "| " for cell in cells) + "|\n")
    assert "".join(rows) in TEXT


def test_operands() -> None:
    for name, operand in OPERANDS.items():
        bits = product_bits(operand, operand, 32)
        cells = [name, operand.element.name, operand.block or "a row or column", operand.scale.name, f"{operand.largest:.7g}", bits]
        assert "| " + " | ".join(map(str, cells)) + " |\n" in TEXT


def test_numbers() -> None:
    assert f"`Rounder.LATENCY` = {Rounder.LATENCY}" in TEXT
    for precision, count in PRECISIONS.items():
        assert f"| {precision} | {count} | {count**2} | at most 2 * 2^-{precision}" in TEXT
