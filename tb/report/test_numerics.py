"""What is drawn for the report alone computes what it stands for, and every block has a name of its own."""

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from cleave.report.blocks import Drawn
from cleave.report.numerics import NUMERICS, SEAM_MULTIPLIER

MULTIPLIERS = [block for block in NUMERICS if block.does == SEAM_MULTIPLIER]


def test_names() -> None:
    names = [(block.does, block.how) for block in NUMERICS]
    assert len(set(names)) == len(names) and len(MULTIPLIERS) == 2


@pytest.mark.parametrize("block", MULTIPLIERS, ids=lambda block: block.how)
def test_seam_multiplier(block: Any, rng: np.random.Generator) -> None:
    """A signed sum of 21 bits times two significands of 4 bits; the extremes, too."""
    dut = block.make()
    assert isinstance(dut, Drawn)
    dots = [-(2**20), 2**20 - 1, -1, 0, *rng.integers(-(2**20), 2**20, 20).tolist()]

    async def bench(ctx: Any) -> None:
        for dot in dots:
            for row in range(16):
                for column in range(16):
                    for name, value in {"dot": dot, "row": row, "column": column}.items():
                        ctx.set(getattr(dut, name), value)
                    await ctx.delay(1e-9)
                    assert ctx.get(dut.total) == dot * row * column % 2**29

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
