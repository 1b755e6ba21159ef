"""What LOAD writes, by itself: every code of every element in every byte, and every scale under every anchor."""

from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from amaranth.sim import Simulator
from numpy.typing import NDArray

from cleave.engine.isa import Destination
from cleave.engine.load_values import LoadValues
from tb.engine.load_reference import decode
from tb.engine.read_memory import CONFIGS

SCALED = [name for name, config in CONFIGS.items() if config.block_scales]


def simulate(design: LoadValues, main: Callable) -> None:
    """Run `main`; there is no clock."""
    simulator = Simulator(design)
    simulator.add_testbench(main)
    simulator.run()


def pack(values: NDArray) -> int:
    """Give the value of a signal of so many bytes."""
    return int.from_bytes(values.astype(np.uint8).tobytes(), "little")


@pytest.mark.parametrize(
    "destination", [Destination.MOVING, Destination.STATIONARY, Destination.PARAMETERS, Destination.ROW_PARAMETERS],
)
@pytest.mark.parametrize("name", SCALED)
def test_elements(name: str, destination: Destination) -> None:
    """Elements are decoded; the bytes of parameters stay as they are."""
    config = CONFIGS[name]
    design = LoadValues(config)
    moving = config.segments * config.array.rows
    stationary = max(config.stationary_segments, config.stationary_rows) * config.array.columns
    count = {Destination.MOVING: moving, Destination.STATIONARY: stationary}.get(destination, 8 * config.drain_lanes)

    async def main(ctx) -> None:  # noqa: ANN001
        ctx.set(design.destination, destination)
        for element in range(4 if destination <= Destination.STATIONARY else 1):
            ctx.set(design.element, element)
            for first in range(256):
                codes = np.arange(first, first + count).astype(np.uint8)
                ctx.set(design.raw, pack(codes))
                await ctx.delay(1e-9)
                assert ctx.get(design.values) == pack(decode(codes, element))
                assert not ctx.get(design.above)

    simulate(design, main)


def test_distances_of_columns() -> None:
    """All 65,536 pairs of an anchor and a scale in a column, and whether one of a chunk's is above."""
    config = CONFIGS["scaled"]
    design = LoadValues(config)
    columns = config.array.columns

    async def main(ctx) -> None:  # noqa: ANN001
        ctx.set(design.destination, Destination.STATIONARY_SCALES)
        for pair in np.arange(2**16).reshape(-1, columns):
            anchors, scales = np.divmod(pair, 256)
            ctx.set(design.anchors, pack(anchors))
            ctx.set(design.raw, pack(scales))
            await ctx.delay(1e-9)
            assert ctx.get(design.values) & ((1 << 8 * columns) - 1) == pack(anchors - scales)
            assert ctx.get(design.above) == (scales > anchors).any()

    simulate(design, main)


@pytest.mark.parametrize("destination", [Destination.MOVING_SCALES, Destination.STATIONARY_SCALES])
@pytest.mark.parametrize("name", SCALED)
def test_one_scale_above(name: str, destination: Destination, seed: int) -> None:
    """A row of any length with at most one scale above its anchor, in each place, by as little as 1."""
    config, rng = CONFIGS[name], Random(seed)
    design = LoadValues(config)
    moving = destination == Destination.MOVING_SCALES
    most = config.array.slabs if moving else config.array.columns

    async def main(ctx) -> None:  # noqa: ANN001
        ctx.set(design.destination, destination)
        ctx.set(design.anchors, rng.getrandbits(len(design.anchors)))
        for count in [*range(1, most + 1)] * 4:
            anchors = np.array([rng.choice([255, 254, 128, 0, rng.randrange(256)]) for _ in range(count)])
            if moving:
                anchors[:] = anchors[0]
            else:
                ctx.set(design.anchors, pack(anchors))
            scales = np.array([rng.choice([anchor, rng.randint(0, anchor)]) for anchor in anchors])
            for place in [None, *range(count)]:
                above = place is not None and anchors[place] < 255
                row = scales.copy()
                if above:
                    row[place] = rng.choice([anchors[place] + 1, 255])
                ctx.set(design.raw, pack(row) << 8 | int(anchors[0]) if moving else pack(row))
                await ctx.delay(1e-9)
                values = ctx.get(design.values) >> (8 if moving else 0)
                assert values & ((1 << 8 * count) - 1) == pack(anchors - row)
                assert ctx.get(design.above) == above

    simulate(design, main)
