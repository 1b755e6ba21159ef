"""Delay of a mapped netlist, by OpenSTA where it is installed."""

import re
from pathlib import Path

from .liberty import Library
from .tools import run_sta

__all__ = ["delay_ns"]

_SLACK = re.compile(r"^\s*(-?[\d.]+)\s+slack", re.MULTILINE)


def delay_ns(folder: Path, library: Library, top: str, *, combinational: bool) -> float | None:
    """Give the longest path of `netlist.v` between registers, setup included; if `combinational`, from inputs to outputs."""
    verilog = folder / "netlist.v"
    verilog.write_text(verilog.read_text().replace(" signed [", " ["))  # which some versions of OpenSTA cannot read
    period_ns = 0.001  # far below any delay, so that the worst slack is the longest path whatever the edges
    report = run_sta("\n".join([
        *(f"read_liberty library_{number}.lib" for number in range(len(library.files))),
        "read_verilog netlist.v",
        f"link_design {top}",
        "set_cmd_units -time ns",
        f"create_clock -name clk -period {period_ns} [get_ports clk]",
        "set_input_delay 0 -clock clk [all_inputs]",
        *(["set_output_delay 0 -clock clk [all_outputs]"] if combinational else []),
        f"report_checks -path_delay max -digits 6 {'-to [all_outputs]' if combinational else '-from [all_registers -clock_pins]'}",
        "",
    ]), folder)  # fmt: skip
    slack = _SLACK.findall(report or "")
    return period_ns - float(slack[-1]) if slack else None
