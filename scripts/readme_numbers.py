"""Write rows of the README's table and docs/results.md from what was measured (`make numbers` measures, then writes).

Takes what `cleave run --json`, `scripts/bench_array.py --json` and `scripts/bench_sim.py --json` wrote. Nothing is written
that is not in these files.
"""

import argparse
import json
import os
import platform
import re
from pathlib import Path
from typing import Any

from numbers_table import ACCURACY, ARRAY, ROOT, SUITES, Row, markers, record, table

BASELINES = {
    "monolithic_same_port": "same stationary port",
    "monolithic_same_bandwidth": "same total bandwidth",
}

def percent(value: float) -> str:
    """Write a fraction as a percentage."""
    return f"{100 * value:.1f} %"


def numbers(run: dict[str, Any], array: dict[str, Any], speeds: list[dict[str, Any]]) -> dict[str, list[Row]]:
    """Give rows of the README's table."""
    accuracy = run["accuracy_percent"]
    shape = array["configurations"]["split"]
    utilisation: list[Row] = [
        (
            f"array utilisation, {work['workload']}",
            percent(work["split_array_utilisation"]),
            "monolithic: "
            + ", ".join(f"{percent(work[f'{name}_array_utilisation'])} {port}" for name, port in BASELINES.items()),
            f"RTL counters, `{shape}`, operands resident",
        )
        for work in array["workloads"]
    ]
    utilisation += [
        (
            f"INT4 weights at twice the rate, {work['workload']}",
            f"{work['int4_macs_per_cycle']:.0f} MAC/cycle",
            f"INT8 by INT8: {work['int8_macs_per_cycle']:.0f}",
            f"RTL counters, `{work['configuration']}`, {work['places']} places, operands resident",
        )
        for work in array["precisions"][:1]
    ]
    digits = (
        "handwritten digits recognised",
        f"{accuracy['engine']:.2f} %",
        f"float network {accuracy['float network']:.2f} %",
        f"{run['images']} held-out images on the RTL, {run['values_checked']:,} values equal the integer reference",
    )
    simulation = [
        (
            f"simulation, `{speed['config']}`",
            f"{speed['useful_macs_per_second'] / 1e6:.3g} M MAC/s",
            "",
            f"{speed['simulator']}, {speed['cycles_per_second']:,.0f} cycles/s, one thread, built in "
            f"{speed['build_seconds']:.0f} s",
        )
        for speed in speeds
    ]
    return {"array": utilisation, "run": [digits], "simulation": simulation}


def results(run: dict[str, Any], array: dict[str, Any], speeds: list[dict[str, Any]]) -> str:
    """Write docs/results.md."""
    workloads: list[Row] = [
        (
            work["workload"],
            *(
                f"{percent(work[f'{name}_array_utilisation'])} ({work[f'{name}_array_cycles']:,} cycles)"
                for name in array["configurations"]
            ),
            percent(work["goal_array_utilisation"]),
        )
        for work in array["workloads"]
    ]
    narrow: list[Row] = [
        (
            work["workload"],
            work["configuration"],
            str(work["places"]),
            *(f"{work[f'{kind}_macs_per_cycle']:,.1f}" for kind in ("int8", "int4", "e2m1")),
        )
        for work in array["precisions"]
    ]
    layers: list[Row] = [
        (
            work["engine"],
            f"{work['m']} x {work['k']} x {work['n']}",
            f"{work['cycles']:,}",
            f"{work['resident_cycles']:,}",
            f"{work['resident_utilisation_percent']:.1f} %",
        )
        for work in run["comparison"]
    ]
    simulators: list[Row] = [
        (
            speed["config"],
            speed["simulator"],
            f"{speed['build_seconds']:.1f}",
            f"{speed['cycles']:,}",
            f"{speed['cycles_per_second']:,.0f}",
            f"{speed['useful_macs_per_second'] / 1e6:,.3g}",
        )
        for speed in speeds
    ]
    return "\n".join([
        "# Results",
        "",
        "Written by `make numbers` from one run of `cleave run`, `make bench-array` and `make bench-sim`, on "
        f"{_processor()} with {os.cpu_count()} processors.",
        "A configuration 4x8x16d4l1 has 4 slabs of 8 rows by 16 columns, dot 4, load_rows 1.",
        "",
        "## Array utilisation",
        "",
        "Useful MACs / (MACs x ARRAY_CYCLES), from the hardware's counters; ARRAY_CYCLES run from the first pass's start to",
        "the last result's write. Operands are resident in the scratchpad; every result is checked against numpy.",
        "",
        table(
            ("workload", *(f"{name.replace('_', ' ')}, {shape}" for name, shape in array["configurations"].items()), "goal"),
            workloads,
        ),
        "With the same stationary bandwidth the monolithic array does as well where the whole contraction fits it; what the",
        "split itself gives are contractions shorter than the array, and problems side by side.",
        "",
        "## Four bits",
        "",
        "The same array with two lanes in each column: useful MACs per cycle of INT8 by each kind of stationary operands, by the",
        "hardware's counters. What it costs: [area.md](area.md#what-four-bits-give).",
        "",
        table(("workload", "configuration", "places", *(f"INT8 by {kind}" for kind in ("INT8", "INT4", "E2M1"))), narrow),
        "## The digits network's layers",
        "",
        f"`cleave run`, `{run['config']}`, {run['images']} images. *From memory*: the layer's GEMM with its loads and drains,",
        "over the simulator's DRAM (32 cycles of latency, one bus beat a cycle, shared by reads and writes). *Resident*: a",
        "train of the layer's shape with random operands in the scratchpad. From memory these layers are bound by the bus,",
        "and there is little to gain.",
        "",
        table(("array", "M x K x N", "cycles from memory", "array cycles resident", "utilisation resident"), layers),
        "## Simulation speed",
        "",
        "A train of M = 64 passes on the whole array fused, one thread; Amaranth's own simulator runs a much shorter train.",
        "",
        table(("config", "simulator", "build s", "cycles", "cycles/s", "million useful MAC/s"), simulators),
        *suite(),
        "## Accuracy of float products",
        "",
        "Errors of the elements of FP32 results against float64, quantisation included, over the element: the median, and the",
        "worst, which is that of an element whose terms all but cancel; and the worst over the sum of the terms' magnitudes.",
        "*FP32* sums add the same quantised operands' products one after another in float32; the last row is float32 throughout.",
        "*Heavy tails* are Student's t with 2 degrees, *real* the activations and weights of a small Llama. By `make accuracy`;",
        "how it was measured, and errors in the norm: [accuracy.md](accuracy.md).",
        "",
        "".join(markers(ACCURACY)),
        "",
        "## Elsewhere",
        "",
        "- [area.md](area.md): area and delay of cells, blocks and arrays on standard cells, what splitting costs, what was tried",
        "  and lost (`make report-cells`)",
        "- [ecp5.md](ecp5.md): clock and size of arrays on an ECP5 FPGA (`make report-ecp5`)",
        "- [accuracy.md](accuracy.md): errors of every number format in the norm, and of the sums alone (`make accuracy`)",
        "- [mutations.md](mutations.md): deliberate breaks, and the tests that notice them (`make mutate`)",
        "",
    ])


def suite() -> list[str]:
    """Give the section of the workload suite, whose tables are recorded by `make bench-utilisation`."""
    lines = [
        "## The workload suite",
        "",
        "`make bench-utilisation`: shapes of public models, each compiled by the same compiler for the split array and for two",
        "monolithic ones of as many MACs, (a) with the stationary port of one slab, (b) with that of all slabs. *By RTL*: measured",
        "on the simulated RTL, where every bit of the product was compared with numpy, and every cycle with the timing model. *By",
        "model*: the timing model alone. `cleave bench utilisation --json` has every shape's source, parts, tiles and bounds.",
        "",
        "*With memory* is from start to done, over the simulator's DRAM (32 cycles of latency, one bus beat a cycle, shared by",
        "reads and writes). The *bound* is the largest of compute, scratchpad and DRAM, from sizes alone; *reached* is bound over",
        "cycles. Where the goal is missed, the table says where most of the cycles above the bound go: with DRAM as the bound to",
        "the bus's beats of the program, to padding and operands that are read again, or to its idle cycles; else to what slabs",
        "wait for. *Parts in turn* is what experts cost that are bound by DRAM, and others by the array, one after the other.",
        "",
        "*The array alone* is the same program's MATMULs without their tokens: what the array takes when operands are always",
        "there. That is what SCALE-Sim counts, by ceil(K / R) ceil(N / C) (M + 2 R + C - 2) - 1 for a weight-stationary array of",
        "R x C, one product after the other, and what SISA (Altamura et al., 2026) compares. The rest is bytes per MAC of the",
        "program with memory: read from and written to operand and accumulator banks, through the registers of cells (bytes",
        "times cells), and over the bus.",
        "",
    ]
    titles = {"suite-default": "The default array", "suite-large": "128 x 128"}
    for name in SUITES:
        lines += [f"### {titles[name]}, with memory", "", "".join(markers(name)), ""]
        lines += [f"### {titles[name]}, the array alone", "", "".join(markers(name + ARRAY)), ""]
        lines += [f"![plot]({name}.svg)", ""]
    return lines


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.*)", info.read_text()) if info.exists() else None
    return found[1] if found else platform.machine()


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("run", "array", "speeds"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    run, array, speeds = (json.loads(path.read_text()) for path in vars(arguments).values())
    if run["backend"] != "rtl":
        parser.error(f"{arguments.run} must come from the rtl backend, not {run['backend']}")
    (ROOT / "docs/results.md").write_text(results(run, array, speeds))
    for source, rows in numbers(run, array, speeds).items():
        record(source, rows)


if __name__ == "__main__":
    main()
