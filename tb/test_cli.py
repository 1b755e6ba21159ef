"""The `cleave` command: what it writes, and one line with status 2 for anything wrong with its input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from cleave import Engine, cli

A = np.arange(-10, 20, dtype=np.int8).reshape(5, 6)
B = np.arange(-24, 24, dtype=np.int8).reshape(6, 8)
MODEL = ["--backend", "model"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with good and bad operands, and work in it."""
    np.save(tmp_path / "a.npy", A)
    np.save(tmp_path / "b.npy", B)
    np.save(tmp_path / "float.npy", A.astype(float))
    np.save(tmp_path / "scalar.npy", np.int8(1))
    np.save(tmp_path / "cube.npy", A[None])
    np.save(tmp_path / "none.npy", A[:, :0])
    np.save(tmp_path / "long.npy", np.zeros((1, 131072), np.int8))
    np.save(tmp_path / "deep.npy", np.zeros((131072, 1), np.int8))
    np.save(tmp_path / "object.npy", np.array([[{}]], object), allow_pickle=True)
    (tmp_path / "text.npy").write_text("not an array")
    (tmp_path / "header.npy").write_bytes((tmp_path / "a.npy").read_bytes().replace(b"(5, 6)", b"(5, 6"))
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "short.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-3])
    (tmp_path / "bad.toml").write_text("slabs = = 3")
    (tmp_path / "unknown.toml").write_text("[array]\nslbs = 3")
    (tmp_path / "rule.toml").write_text("[array]\nrows = 7\ndot = 2")
    (tmp_path / "good.toml").write_text("axi_data_width = 64\n[array]\nslabs = 3\nrows = 6\ncolumns = 5\ndot = 2")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cleave(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command in this process; give its exit status."""
    monkeypatch.setattr(sys, "argv", ["cleave", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


@pytest.mark.parametrize(
    "options", [[], ["--config", "good.toml"], ["--config", "tiny", "--columns", "3"], ["--cell", "gates"], ["--partition", "2"]]
)
def test_matmul(folder: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    assert cleave(monkeypatch, "matmul", "a.npy", "b.npy", "-o", "c.out", "--stats", "s.json", *MODEL, *options) == 0
    product = np.load(folder / "c.out")
    assert product.dtype == np.int32
    np.testing.assert_array_equal(product, A.astype(int) @ B.astype(int))
    stats = json.loads((folder / "s.json").read_text())
    assert stats["useful_macs"] == 5 * 6 * 8
    names = (
        "cycles",
        "array_cycles",
        "macs_per_cycle",
        "utilisation",
        "array_utilisation",
        "partition",
        "stall_cycles",
    )
    assert stats.keys() >= set(names)
    assert not list(folder.glob(".*")), "no temporary file is left"


RESULTS = {"fp16": np.float16, "e4m3": np.float32, "bf16": np.float32, "int4": np.float32, "mxfp4": np.float32}


@pytest.mark.parametrize("result", RESULTS)
def test_results(folder: Path, monkeypatch: pytest.MonkeyPatch, result: str) -> None:
    """A .npy file has the values, a .npz file the codes, and the scales of a result in blocks; both say the same."""
    line = ["matmul", "float.npy", "b.npy", "--format", "mxint8:int8", "--result", result, *MODEL]
    for name in ("c.npy", "c.npz"):
        assert cleave(monkeypatch, *line, "-o", name) == 0
    values = np.load(folder / "c.npy")
    with np.load(folder / "c.npz") as file:
        parts = dict(file)
    with Engine("default", backend="model") as engine:
        wanted, _ = engine.matmul_float(A.astype(float), B, format="mxint8:int8", result=result)
    assert values.dtype == RESULTS[result] and parts["format"] == result
    if result == "mxfp4":
        np.testing.assert_array_equal(values, wanted.dequantise())
        np.testing.assert_array_equal(parts["codes"], wanted.codes)
        np.testing.assert_array_equal(parts["scales"], wanted.scales)
        assert parts["scales"].shape == (5, 1)
    else:
        np.testing.assert_array_equal(parts["codes"], wanted)
        known = {"e4m3": ml_dtypes.float8_e4m3fn, "bf16": ml_dtypes.bfloat16, "int4": ml_dtypes.int4, "fp16": np.float16}[result]
        np.testing.assert_array_equal(values, wanted.view(known).astype(np.float32))


BAD = {
    "float.npy b.npy -o c.npy --result mxfp4": "--result mxfp4 must be given with --format or --precision",
    "float.npy b.npy -o c.npy --format int8 --result mxfp8": "--result must be one of int8, int4, e2m1, e2m3, fp32, bf16,",
    "a.npy b.npy -o c.npz": "--output must be a .npy file without --result, not c.npz",
    "a.npy b.npy -o fifo": "must be a regular file that may be written",
    "a.npy b.npy -o c.npy --stats c.npy": "--stats must be another file than --output",
    "header.npy b.npy -o c.npy": "header.npy must be a .npy file of numbers",
    "a.npy b.npy": "Missing option '-o'",
    "a.npy": "Missing argument 'B'",
    "missing.npy b.npy -o c.npy": "missing.npy cannot be read: No such file",
    ". b.npy -o c.npy": "is a directory",
    "text.npy b.npy -o c.npy": "text.npy must be a .npy file of numbers",
    "empty.npy b.npy -o c.npy": "empty.npy must be a .npy file of numbers",
    "short.npy b.npy -o c.npy": "short.npy must be a .npy file of numbers",
    "object.npy b.npy -o c.npy": "object.npy must be a .npy file of numbers",
    "float.npy b.npy -o c.npy": "a must be an int8 or int4 array, not float64 array",
    "scalar.npy b.npy -o c.npy": "a must have 2 dimensions, not 0",
    "cube.npy b.npy -o c.npy": "a must have 2 dimensions, not 3",
    "none.npy b.npy -o c.npy": "a must have at least 1 row and 1 column",
    "b.npy a.npy -o c.npy": "a's columns must equal b's rows (K), not 8 and 5",
    "long.npy deep.npy -o c.npy": "K must be at most 131071",
    "a.npy b.npy -o none/c.npy": "the folder of none/c.npy must exist",
    "a.npy b.npy -o .": "is a directory",
    "a.npy b.npy -o c.npy --stats none/s.json": "the folder of none/s.json must exist",
    "a.npy b.npy -o c.npy --partition 5": "partition must be 1 to 4 slabs, not 5",
    "a.npy b.npy -o c.npy --backend board": "'board' is not one of 'rtl', 'model'",
    "a.npy b.npy -o c.npy --config huge": "config must be one of tiny, odd, default",
    "a.npy b.npy -o c.npy --config missing.toml": "missing.toml cannot be read: No such file",
    "a.npy b.npy -o c.npy --config bad.toml": "bad.toml is not TOML",
    "a.npy b.npy -o c.npy --config unknown.toml": "keys of ArrayConfig are",
    "a.npy b.npy -o c.npy --config rule.toml": "rows must be a multiple of dot (2), not 7",
    "a.npy b.npy -o c.npy --slabs 31": "slabs must be 1 to 30, not 31",
    "a.npy b.npy -o c.npy --cell dsp": "'dsp' is not one of 'portable', 'gates', 'ecp5'",
    "a.npy b.npy -o c.npy --cell ecp5": "multiply_stages must be 2 to 8 for ecp5 cells, not 0",
    "a.npy b.npy -o c.npy --multiply-stages 9": "multiply_stages must be 0 to 8 for portable cells, not 9",
    "a.npy b.npy -o c.npy --rows many": "'many' is not a valid integer",
}


@pytest.mark.parametrize("line", BAD)
@pytest.mark.usefixtures("folder")
def test_bad_input_of_matmul(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str) -> None:
    defaults = [] if "--backend" in line else MODEL
    assert cleave(monkeypatch, "matmul", *line.split(), *defaults) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert BAD[line] in err
    assert not Path("c.npy").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing command"),
        (["multiply"], "command must be one of bench, explore, info, matmul, model"),
        (["info", "--config", "huge"], "config must be one of tiny"),
        (["verilog"], "Missing option '-o'"),
        (["run", "--limit", "0"], "0 is not in the range x>=1"),
        (["run", "--json", "none/r.json"], "the folder of none/r.json must exist"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_bad_input_of_other_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert cleave(monkeypatch, *arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_an_old_result_survives_a_failure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "c.npy").write_bytes(b"old")
    assert cleave(monkeypatch, "matmul", "b.npy", "a.npy", "-o", "c.npy", *MODEL) == 2
    assert (folder / "c.npy").read_bytes() == b"old"

    def stop(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cli, "write_array", stop)
    assert cleave(monkeypatch, "matmul", "a.npy", "b.npy", "-o", "c.npy", *MODEL) == 2
    assert (folder / "c.npy").read_bytes() == b"old"


def test_info(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert cleave(monkeypatch, "info", "--json", "--slabs", "2") == 0
    values = json.loads(capsys.readouterr().out)
    assert values["macs_per_cycle"] == 2 * 8 * 16
    assert values["accumulator_scratchpad_bytes"] == 2 * 256 * 16 * 6
    assert cleave(monkeypatch, "info") == 0
    assert "scratchpad bytes" in capsys.readouterr().out


def test_help_starts_without_hardware() -> None:
    """Start-up is fast because nothing heavy is imported before it is needed."""
    code = (
        "import sys; sys.argv = ['cleave', '--help']\n"
        "from cleave.cli import main\n"
        "try: main()\n"
        "finally: print([name for name in ('amaranth', 'rich.table') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert "matmul" in result.stdout
    assert result.stdout.splitlines()[-1] == "[]"
