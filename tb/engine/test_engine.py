"""The whole engine on exported Verilog, with cocotb and cocotbext-axi."""

from pathlib import Path

import pytest

from cleave.config import PRESETS
from cleave.export import engine_design
from tb.bench import run_bench


@pytest.mark.parametrize("config", ["tiny", "odd"])
def test_engine(config: str, tmp_path: Path, seed: int, verilator: Path) -> None:  # noqa: ARG001
    run_bench(engine_design(PRESETS[config]), "tb.engine.engine_bench", tmp_path, config=config, seed=seed)
