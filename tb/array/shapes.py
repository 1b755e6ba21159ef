"""Array shapes that the benches of the array's parts run on."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

from cleave.config import ArrayConfig, EngineConfig

ARRAYS = {
    "textbook": ArrayConfig(slabs=2, rows=4, columns=3, dot=1, cell="textbook"),
    "wide_load": ArrayConfig(slabs=3, rows=8, columns=4, dot=4, load_rows=2),
    "staged": ArrayConfig(slabs=2, rows=8, columns=5, dot=2, multiply_stages=1),
    "odd": ArrayConfig(slabs=3, rows=6, columns=10, dot=2, multiply_stages=2),
    "gates": ArrayConfig(slabs=2, rows=8, columns=3, dot=4, multiply_stages=1, cell="gates"),
    "one_slab": ArrayConfig(slabs=1, rows=16, columns=2, dot=8, load_rows=8),
}
SHAPES = {
    name: EngineConfig(
        array, moving_depth=64, stationary_depth=64, accumulator_depth=32, axi_data_width=64, bank_columns=4
    )
    for name, array in ARRAYS.items()
}
SHAPES["scaled"] = replace(SHAPES["gates"], block_scales=True, accumulator_bits=48)
SHAPES["scaled_wide"] = replace(SHAPES["one_slab"], block_scales=True, accumulator_bits=64)
LANES = {
    "lanes": replace(ARRAYS["wide_load"], stationary_bits=4),
    "lanes_gates": replace(ARRAYS["gates"], stationary_bits=4),
    "lanes_short": replace(ARRAYS["one_slab"], stationary_bits=4),
}
SHAPES |= {name: replace(SHAPES["scaled"], array=array) for name, array in LANES.items()}
SHAPES["lanes_plain"] = replace(SHAPES["lanes"].plain(), array=replace(ARRAYS["staged"], stationary_bits=4))
ECP5_SHAPES = {
    f"ecp5_{name}": replace(SHAPES[name], array=replace(SHAPES[name].array, cell="ecp5", multiply_stages=stages))
    for name, stages in [("textbook", 3), ("wide_load", 5), ("lanes", 4)]
}
ECP5_CELLS = {
    f"dot{dot}_stages{stages}_lanes{lanes}": ArrayConfig(
        rows=6 * dot, dot=dot, load_rows=max(1, dot // 2), multiply_stages=stages, cell="ecp5", stationary_bits=8 // lanes
    )
    for dot, stages, lanes in [(1, 3, 1), (1, 4, 2), (2, 3, 2), (4, 8, 1), (16, 6, 2)]
}
EXTREMES = [-128, 127, *range(-128, 128)]
"""INT8 operands, the extreme ones more often."""


def cuts(slabs: int) -> Iterator[list[tuple[int, int]]]:
    """Give every way to cut the array into partitions that cover it, as lists of (first, count)."""
    for edges in itertools.product([False, True], repeat=slabs - 1):
        places = [0, *[s + 1 for s, cut in enumerate(edges) if cut], slabs]
        yield [(a, b - a) for a, b in itertools.pairwise(places)]
