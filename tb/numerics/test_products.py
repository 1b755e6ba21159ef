"""Codes to products: two decoders and a cell, compiled, with every pair of codes of every pair of formats.

What they must give is the product of the values that ml_dtypes says the codes have, which float64 holds exactly.
"""

import itertools
import subprocess
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Cat, Elaboratable, Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from cleave.array.cells import make_cell
from cleave.config import ArrayConfig
from cleave.numerics.decode import ElementDecoder
from cleave.numerics.formats import ELEMENTS
from tb.compiled import build
from tb.numerics.references import decode
from tb.numerics.scaled_products import OPERANDS, Made

CELLS = {
    "gates": ArrayConfig(rows=32, dot=8, load_rows=8, multiply_stages=1, cell="gates"),
    "portable": ArrayConfig(rows=32, dot=4, load_rows=4),
}


class Decoded(wiring.Component):
    """A cell between decoders, with all its stationary operands written at once and nothing from the north."""

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        codes, element = In(8 * config.dot), In(range(len(ELEMENTS)))
        super().__init__({
            "moving": codes, "moving_element": element, "stationary": codes, "stationary_element": element,
            "write": In(1), "swap": In(1), "sum": Out(signed(32)),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Elaboratable:  # noqa: ARG002
        m = Module()
        m.submodules.cell = cell = make_cell(self.config)
        decoded = {"moving": [], "stationary": []}
        for side, operands in decoded.items():
            for i in range(self.config.dot):
                m.submodules[f"{side}_{i}"] = decoder = ElementDecoder()
                m.d.comb += [
                    decoder.code.eq(getattr(self, side).word_select(i, 8)),
                    decoder.element.eq(getattr(self, f"{side}_element")),
                ]
                operands.append(decoder.decoded)
        m.d.comb += [
            cell.from_west.eq(Cat(decoded["moving"])),
            cell.stationary.eq(cell.pack(Cat(decoded["stationary"]))),
            cell.write.eq(self.write),
            cell.swap.eq(self.swap),
            self.sum.eq(cell.to_south[0]),
        ]
        return m


def sums(program: Path, pair: tuple[Made, Made], rows: NDArray[np.uint8], tiles: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Give the values of a cell's sums, [tile, row]."""
    sizes = np.array([*(ELEMENTS.index(made.element) for made in pair), len(tiles), len(rows)], np.int32)
    given = sizes.tobytes() + tiles.tobytes() + rows.tobytes()
    found = np.frombuffer(subprocess.run([program], input=given, check=True, capture_output=True).stdout, np.int32)
    unit = np.prod([2.0**made.unit / made.times for made in pair])
    return found.reshape(len(tiles), len(rows)) * unit


def values(made: Made) -> NDArray[np.float64]:
    """Give the value of every byte as an element under scale 1; bits above a short code do not matter."""
    least = decode(made.element, 1)  # the code of one step
    return decode(made.element, np.arange(256) % (1 << made.element.bits)) * (2.0**made.unit / least)


@pytest.mark.parametrize("cell", CELLS)
def test_every_product(cell: str, tmp_path: Path, rng: np.random.Generator) -> None:
    """Each product alone, with zeros in the cell's other places, and at each place beside others."""
    config = CELLS[cell]
    macros = {"DOT": config.dot, "STAGES": config.multiply_stages}
    program = build(Decoded(config), Path(__file__).with_name("products.cpp"), tmp_path, macros)
    codes = np.arange(256, dtype=np.uint8)
    everywhere = np.tile(codes[:, None], config.dot)
    alone = np.zeros_like(everywhere)
    alone[codes, codes % config.dot] = codes
    for names in itertools.product(OPERANDS, repeat=2):
        pair = OPERANDS[names[0]], OPERANDS[names[1]]
        moving, stationary = map(values, pair)
        assert np.array_equal(sums(program, pair, everywhere, alone), np.outer(stationary, moving)), names
        rows, tiles = rng.permuted(everywhere, axis=0), rng.permuted(everywhere, axis=0)
        assert np.array_equal(sums(program, pair, rows, tiles), stationary[tiles] @ moving[rows].T), names
