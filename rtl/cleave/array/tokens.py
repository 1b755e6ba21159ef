"""Tokens: the control that travels with the data. Each is made once and then only passed on, a cycle a step."""

from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from ..config import EngineConfig, bits_for
from ..numerics.formats import PAIRS

ROW_MACS_BITS = 20
"""Width of the useful MACs that one moving row stands for."""


def load_layout(config: EngineConfig) -> data.StructLayout:
    """`load`: write a stationary tile into the waiting operands; enters the top slab, a slab further south each cycle."""
    return data.StructLayout({
        "address": bits_for(config.stationary_depth),
        "below": bits_for(config.array.slabs),  # slabs of the partition that are still to the south
    } | _pairs(config) | ({"scaled": 1} if config.block_scales else {}))  # the tile's last words have scales


def start_layout(config: EngineConfig) -> data.StructLayout:
    """`start`: swap, then stream `rows` moving rows; enters the top slab, a slab further south each cycle."""
    return data.StructLayout({
        "rows": bits_for(min(config.moving_depth, config.accumulator_depth) + 1),
        "moving": bits_for(config.moving_depth),
        "accumulator": bits_for(config.accumulator_depth),
        "accumulate": 1,
        "fused": 1,  # this slab adds the running sum of the slab above
        "below": bits_for(config.array.slabs),
        "signal": 2,  # units LOAD and DRAIN to give a token to after the last row
        "row_macs": ROW_MACS_BITS,
    } | _paired(config) | _scaled(config))


def row_layout(config: EngineConfig) -> data.StructLayout:
    """`row`: one moving row on its way along the seams; column c sees it one cycle after column c - 1."""
    return data.StructLayout({
        "write": 1,  # the sum goes into the accumulators: this is the partition's last slab
        "accumulate": 1,  # and is added to what is there
        "fused": 1,
        "address": bits_for(config.accumulator_depth),
        "signal": 2,
    } | _paired(config) | ({"swap": 1} | _scaled(config) if config.block_scales else {}))  # `swap`: the first of its pass


def tile_layout(config: EngineConfig) -> data.StructLayout:
    """`tile`: one word of a stationary tile on its way along the columns, a column a cycle."""
    return data.StructLayout({
        "valid": 1,
        "index": bits_for(config.tile_words),
    } | _pairs(config) | ({"scales": 1} if config.block_scales else {}))  # the word has the columns' distances from their anchors


def _scaled(config: EngineConfig) -> dict[str, int]:
    """Blocks have scales; the shift of all, besides these."""
    return {"scaled": 1, "shift": config.shift_bits} if config.block_scales else {}


def _pairs(config: EngineConfig) -> dict[str, int]:
    """What a tile's bytes are, as in `numerics.decode.PAIRS`."""
    return {"pairs": bits_for(len(PAIRS))} if config.array.lanes > 1 else {}


def _paired(config: EngineConfig) -> dict[str, int]:
    """The lanes' sums are results of their own."""
    return {"paired": 1} if config.array.lanes > 1 else {}


def token(layout: data.StructLayout) -> wiring.Signature:
    """Signature of a token: `p` is taken in the cycle with `valid`, and never held back."""
    return wiring.Signature({"valid": Out(1), "p": Out(layout)})
