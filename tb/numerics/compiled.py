"""The rounder as a compiled program that reads cases and says how many it got wrong."""

import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cleave.numerics.normalise import EXPONENT_BITS
from cleave.numerics.rounder import Rounder
from tb import compiled

CASE = np.dtype([
    ("sum", "<i8"), ("exponent", "<i4"), ("poisoned", "u1"), ("target", "u1"), ("mode", "u1"), ("saturate", "u1"),
    ("random", "<u4"), ("code", "<u4"),
])  # fmt: skip
"""One case, with the code that must come out, as `rounder.cpp` reads it."""


def build(rounder: Rounder, folder: Path) -> Path:
    """Compile the exported Verilog together with `rounder.cpp`."""
    macros = {"LATENCY": rounder.LATENCY, "ACCUMULATOR_BITS": rounder.accumulator_bits, "EXPONENT_BITS": EXPONENT_BITS}
    return compiled.build(rounder, Path(__file__).with_name("rounder.cpp"), folder, macros, optimise=1)


def run(program: Path, cases: NDArray[np.void]) -> str:
    """Give what the program says of the cases."""
    return subprocess.run([program], input=cases.tobytes(), check=False, capture_output=True).stdout.decode()
