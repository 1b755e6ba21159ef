"""Merged dot products of eight INT8 pairs, compiled by Verilator: random and corner vectors.

A million vectors each, or as many as CLEAVE_VECTORS says: 100000000 is the long run, minutes.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cleave.gates import products
from cleave.gates.dot import DotProduct
from tb.compiled import build
from tb.gates.test_mutations import mutate

VECTORS = int(os.environ.get("CLEAVE_VECTORS", "1000000"))
WIDTH = 21


def run_vectors(component: DotProduct, folder: Path, seed: int, vectors: int) -> str:
    """Compile the exported netlist with the vectors' program, and give what that says."""
    macros = {"WIDTH": WIDTH, "SUBTRACT": int(component.subtract), "PAIRED": int(component.products == "paired")}
    program = build(component, Path(__file__).with_name("vectors.cpp"), folder, macros)
    return subprocess.run([program, str(vectors), str(seed)], check=False, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    "kinds",
    [
        {},
        {"products": "booth", "reduction": "wallace", "adder": "kogge_stone"},
        {"products": "paired", "reduction": "reduced_area", "subtract": True},
    ],
    ids=["baugh_wooley-dadda-brent_kung", "booth-wallace-kogge_stone", "paired-reduced_area-brent_kung"],
)
def test_vectors(kinds: dict[str, Any], tmp_path: Path, seed: int) -> None:
    answer = run_vectors(DotProduct(8, 8, 8, WIDTH, **kinds), tmp_path, seed, VECTORS)
    assert answer == f"0 of {VECTORS} vectors wrong\n"


def test_vectors_find_a_break(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(products.baugh_wooley, "a[i] & b[j]", "a[i] & b[j - (i + j == 14)]", monkeypatch)
    answer = run_vectors(DotProduct(8, 8, 8, WIDTH), tmp_path, seed, 10_000)
    assert answer.endswith("of 10000 vectors wrong\n") and not answer.startswith("0 ")
