"""Area and delay of what decodes, rounds and scales, with all rounding modes and formats and with fewer."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from amaranth.hdl import Cat, Value, signed
from amaranth.lib import wiring

from ..config import ACCUMULATOR_BITS, BLOCK, PRESETS, SCALED_ACCUMULATOR_BITS
from ..engine.rounding_lane import RoundingLane
from ..gates.board import Board
from ..gates.heap import BitHeap
from ..gates.products import add_product
from ..numerics.block_scaler import BlockScaler
from ..numerics.decode import ElementDecoder
from ..numerics.formats import BF16, E4M3, ELEMENTS, FP16, FP32
from ..numerics.rounder import MODES, Rounder
from ..numerics.rounding import RANDOM_BITS, Rounding
from .blocks import Block, Drawn

__all__ = ["NUMERICS", "SEAM_MULTIPLIER"]

SEAM_MULTIPLIER = "E4M3 scales at a seam"
"""Name of the blocks that scales of NVFP4 would take."""


def _modes() -> list[Block]:
    def lane(how: str, modes: Sequence[Rounding]) -> Block:
        return Block("lane of the drain", how, lambda: RoundingLane(SCALED_ACCUMULATOR_BITS, tuple(modes)))

    names = {mode: mode.name.lower().replace("_", " ") for mode in MODES}
    return [
        lane("all modes", MODES),
        *(lane(f"without {name}", [mode for mode in MODES if mode is not out]) for out, name in names.items()),
        *(lane(f"{name} only", [mode]) for mode, name in names.items()),
    ]


def _targets() -> list[Block]:
    def rounder(how: str, *arguments: Any) -> Block:  # noqa: ANN401  as Rounder takes them
        return Block("rounder, all modes", how, lambda: Rounder(*arguments))

    return [
        rounder("all formats", SCALED_ACCUMULATOR_BITS),
        rounder("FP32, BF16 and FP16", SCALED_ACCUMULATOR_BITS, (FP32, BF16, FP16)),
        rounder("FP32", SCALED_ACCUMULATOR_BITS, (FP32,)),
        rounder("elements", SCALED_ACCUMULATOR_BITS, ELEMENTS),
        rounder(f"all formats, {ACCUMULATOR_BITS}-bit sums", ACCUMULATOR_BITS),
    ]


def _seam_multiplier(products: str | None) -> wiring.Component:
    """Multiply a slab's sum by the significands of two E4M3 scales: in gates, or in yosys' `*`."""
    significand, width = E4M3.mantissa_bits + 1, PRESETS["large"].array.sum_bits
    scaled = width + 2 * significand

    def times(board: Board, a: Value, b: Value, bits: int) -> Value:
        if products is None:
            return (a * b)[:bits]
        heap = BitHeap(bits)
        add_product(board, heap, products, a, b)
        heap.reduce(board, "dadda")
        return Cat(*heap.total(board, "brent_kung"))

    def draw(board: Board, dot: Value, row: Value, column: Value) -> Value:
        return times(board, dot, times(board, row, column, 2 * significand), scaled)

    return Drawn({"dot": signed(width), "row": significand, "column": significand}, scaled, draw)


NUMERICS = [
    *_modes(),
    *_targets(),
    *(
        Block("block scaler", f"{lanes} lanes", partial(BlockScaler, lanes, BLOCK // lanes, lanes * RANDOM_BITS))
        for lanes in (2, 4, 16)
    ),
    Block("element decoder", "", ElementDecoder),
    Block(SEAM_MULTIPLIER, "yosys' *", lambda: _seam_multiplier(None)),
    Block(SEAM_MULTIPLIER, "baugh_wooley, dadda", lambda: _seam_multiplier("baugh_wooley")),
]
