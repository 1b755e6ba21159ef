import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cleave.api import Engine
from cleave.config import PRESETS
from cleave.network.run import MismatchError, baselines, run_digits


def test_the_model_recognises_digits(tmp_path: Path) -> None:
    printed, file = io.StringIO(), tmp_path / "result.json"
    run_digits(PRESETS["odd"], backend="model", limit=100, json_path=file, console=Console(file=printed))
    result = json.loads(file.read_text())
    assert result["images_right"]["engine"] == result["images_right"]["integer reference"] >= 97
    assert result["useful_macs"] == 100 * (64 * 128 + 128 * 64 + 64 * 10)
    assert result["values_checked"] == 100 * (128 + 64 + 10)
    assert printed.getvalue().splitlines()[-1].startswith("PASS all 20,200 values of 100 images")


@pytest.mark.parametrize("broken_layer", [1, 2, 3])
def test_one_wrong_bit_fails(broken_layer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    matmul, calls = Engine.matmul, iter(range(1, 4))

    def wrong(*arguments: Any, **options: Any) -> Any:
        product, stats = matmul(*arguments, **options)
        if next(calls) == broken_layer:
            product[7, 5] ^= 1
        return product, stats

    monkeypatch.setattr(Engine, "matmul", wrong)
    printed = io.StringIO()
    with pytest.raises(MismatchError, match=rf"layer {broken_layer} .* 1 of \d+ values differ, first in row 7, col"):
        run_digits(PRESETS["tiny"], backend="model", limit=8, console=Console(file=printed))
    assert "FAIL" in printed.getvalue()
    assert "PASS" not in printed.getvalue()


def test_baselines_have_the_same_size() -> None:
    config = PRESETS["default"]
    compared = baselines(config)
    assert [engine.array.slabs for engine in compared.values()] == [1, 1]
    assert [engine.array.macs for engine in compared.values()] == [config.array.macs] * 2
    assert [engine.array.load_cycles for engine in compared.values()] == [32, 8]
    assert baselines(config.monolithic(same_bandwidth=True)) == {}
