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
    cases = [(dot, row, column) for dot in (-(2**20), 2**20 - 1, -1, 0) for row in (0, 8, 15) for column in (0, 8, 15)]
    cases += zip(*(rng.integers(*ends, 300).tolist() for ends in [(-(2**20), 2**20), (0, 16), (0, 16)]), strict=True)

    async def bench(ctx: Any) -> None:
        for case in cases:
            for name, value in zip(("dot", "row", "column"), case, strict=True):
                ctx.set(getattr(dut, name), value)
            await ctx.delay(1e-9)
            assert ctx.get(dut.total) == case[0] * case[1] * case[2] % 2**29

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
