"""Merged dot products of eight INT8 pairs, compiled by Verilator: random and corner vectors.

A million vectors each, or as many as CLEAVE_VECTORS says: 100000000 is the long run, minutes.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cleave.export import convert
from cleave.gates import products
from cleave.gates.dot import DotProduct
from tb.gates.test_mutations import mutate

VECTORS = int(os.environ.get("CLEAVE_VECTORS", "1000000"))
WIDTH = 21


def run_vectors(component: DotProduct, folder: Path, root: Path, seed: int, vectors: int) -> str:
    """Compile the exported netlist with the vectors' program, and give what that says."""
    (folder / "dot.v").write_text(convert(component, "dot").verilog())
    verilate = [root / "bin" / "verilator_bin", "--cc", "--exe", "-O3", "--no-timing", "--x-assign", "fast", "-Wno-fatal",
                "-Wno-lint", "--top-module", "dot", "--Mdir", ".", "dot.v"]  # fmt: skip
    subprocess.run(verilate, cwd=folder, check=True, capture_output=True)
    includes = [f"-I{root / 'include'}", f"-I{root / 'include' / 'vltstd'}", "-I."]
    sources = [*folder.glob("Vdot*.cpp"), root / "include" / "verilated.cpp", root / "include" / "verilated_threads.cpp"]
    macros = ["-DSUBTRACT"] * component.subtract + ["-DPAIRED"] * (component.products == "paired")
    compiler = os.environ.get("CXX", "c++")
    build = [compiler, "-std=c++17", "-O2", "-w", f"-DWIDTH={WIDTH}", *macros, *includes, Path(__file__).with_name("vectors.cpp"),
             *sources, "-pthread", "-o", "vectors"]  # fmt: skip
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    return subprocess.run([folder / "vectors", str(vectors), str(seed)], check=False, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    "kinds",
    [
        {},
        {"products": "booth", "reduction": "wallace", "adder": "kogge_stone"},
        {"products": "paired", "reduction": "reduced_area", "subtract": True},
    ],
    ids=["baugh_wooley-dadda-brent_kung", "booth-wallace-kogge_stone", "paired-reduced_area-brent_kung"],
)
def test_vectors(kinds: dict[str, Any], tmp_path: Path, verilator: Path, seed: int) -> None:
    answer = run_vectors(DotProduct(8, 8, 8, WIDTH, **kinds), tmp_path, verilator, seed, VECTORS)
    assert answer == f"0 of {VECTORS} vectors wrong\n"


def test_vectors_find_a_break(tmp_path: Path, verilator: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(products.baugh_wooley, "a[i] & b[j]", "a[i] & b[j - (i + j == 14)]", monkeypatch)
    answer = run_vectors(DotProduct(8, 8, 8, WIDTH), tmp_path, verilator, seed, 10_000)
    assert answer.endswith("of 10000 vectors wrong\n") and not answer.startswith("0 ")
