"""`cleave model`, `cleave bench utilisation` and `cleave explore`: what they print, and one line with status 2 for bad input."""

import json
import sys
from pathlib import Path

import pytest

from cleave import cli
from cleave.suite import shapes
from cleave.suite.shapes import Workload

WORKLOADS = (
    Workload("one", "decode", (2,), 20, 12, "here, 1"),
    Workload("two", "prefill", (9,), 8, 8, "here, 2"),
)


def cleave(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cleave", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shapes, "suite", lambda: WORKLOADS)
    (tmp_path / "text.sqlite").write_text("no database" * 100)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_model(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert cleave(monkeypatch, "model", "8", "20", "8", "--config", "tiny", "--json", "--latency", "5", "--bandwidth", "4") == 0
    slow = json.loads(capsys.readouterr().out)
    assert cleave(monkeypatch, "model", "8", "20", "8", "--config", "tiny", "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert values["utilisation"] == 8 * 20 * 8 / (32 * values["cycles"])
    assert values["bound"] in ("compute", "scratchpad", "dram") and values["reached"] == values["bound_cycles"] / values["cycles"]
    assert {"partition", "rows", "passes", "array_cycles"} <= values.keys()
    assert slow["bound_cycles"] == slow["dram_bound_cycles"] == 2 * values["dram_bound_cycles"]
    assert cleave(monkeypatch, "model", "8", "20", "8", "--config", "tiny") == 0
    assert f"{values['cycles']:,}" in capsys.readouterr().out


def test_utilisation(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["bench", "utilisation", "--config", "tiny", "--model", "--json", "u.json", "--plot", "u.svg"]
    assert cleave(monkeypatch, *line) == 0
    printed = capsys.readouterr().out
    assert "SCALE-Sim" in printed and "geometric mean, decode" in printed
    assert "0 of 6 runs on the RTL" in printed.splitlines()[-1]
    assert [row["name"] for row in json.loads((folder / "u.json").read_text())["workloads"]] == ["one", "two"]
    assert (folder / "u.svg").stat().st_size
    assert cleave(monkeypatch, *line, "--group", "prefill") == 0
    assert [row["name"] for row in json.loads((folder / "u.json").read_text())["workloads"]] == ["two"]


def test_explore(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    line = [
        "explore", "--config", "tiny", "--slabs", "1,2", "--rows", "4", "--columns", "4", "--dot", "2", "--load-rows", "1",
        "--bandwidth", "8", "--workers", "1", "--json", "e.json", "--plot", "e.svg",
    ]  # fmt: skip
    assert cleave(monkeypatch, *line) == 0
    printed = capsys.readouterr().out
    assert "estimated from synthesised arrays" in printed
    values = json.loads((folder / "e.json").read_text())
    assert [point["slabs"] for point in sorted(values["points"], key=lambda point: point["macs"])] == [1, 2]
    assert (folder / "e.svg").stat().st_size and (folder / "explore.sqlite").stat().st_size


SIZES = "--slabs 1 --rows 4 --columns 4 --dot 2 --load-rows 1 --bandwidth 8 --config tiny"
BAD = {
    "model 0 1 1": "M, K and N must be at least 1, not 0, 1 and 1",
    "model 1 -1 1": "M, K and N must be at least 1, not 1, -1 and 1",
    "model 1 1": "Missing argument 'N'",
    "model 1 x 1": "'x' is not a valid integer",
    "model 1 1 1 --what": "unexpected extra argument (--what)",
    "model 1 200000 1": "K must be at most 131071 for int32 sums that cannot overflow, not 200000",
    "model 40000 1000 40000": "must fit the backend's memory of 1073741824 bytes, not",
    "model 1 1 1 --config huge": "config must be one of tiny, odd, default",
    "model 1 1 1 --dot 3": "dot must be 1, 2, 4, 8 or 16, not 3",
    "model 1 1 1 --latency 0": "0 is not in the range",
    "model 1 1 1 --bandwidth 0": "--bandwidth must be a finite number of at least 0.01, not 0",
    "model 1 1 1 --bandwidth nan": "--bandwidth must be a finite number of at least 0.01, not nan",
    "bench": "Missing command",
    "bench speed": "command must be one of utilisation, not 'speed'",
    "bench utilisation --group x": "group must be one of prefill, decode, attention, experts, convolutions, not 'x'",
    "bench utilisation --rows 512": "rows must be 2 to 1024, not 2048",
    "bench utilisation --rtl-cycles 0": "0 is not in the range",
    "bench utilisation --bandwidth inf": "--bandwidth must be a finite number of at least 0.01, not inf",
    "bench utilisation --plot none/u.svg": "the folder of none/u.svg must exist",
    "bench utilisation --json .": "is a directory",
    f"explore {SIZES} --slabs 0": "no combination of the sizes is legal: slabs must be 1 to 30, not 0",
    f"explore {SIZES} --slabs 1,x": "--slabs must be different numbers separated by commas, not '1,x'",
    f"explore {SIZES} --slabs 1,1": "--slabs must be different numbers separated by commas, not '1,1'",
    f"explore {SIZES} --bandwidth nan": "bandwidth must be above 0 and at most 128 bytes a cycle, not nan",
    f"explore {SIZES} --group x": "group must be one of prefill",
    f"explore {SIZES} --library x": "library must be one of sky130hd, SG13G2, ASAP7, not 'x'",
    f"explore {SIZES} --results text.sqlite": "text.sqlite must be a file of results, or not exist",
    f"explore {SIZES} --scheduler here": "--scheduler must be the address of a Dask scheduler, not 'here'",
    f"explore {SIZES} --workers 0": "0 is not in the range",
    "explore --config huge": "config must be one of tiny, odd, default",
}  # fmt: skip


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("line", BAD)
def test_bad_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert cleave(monkeypatch, *line.split()) == 2
    printed = capsys.readouterr()
    assert BAD[line] in printed.err and printed.err.count("\n") == 1
    assert not printed.out
