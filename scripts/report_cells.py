#!/usr/bin/env python3
"""Area and delay on standard cells (`make report-cells`): all cells, blocks and arrays, on every library that is there.

Writes a page of tables, and all numbers to a JSON file. The libraries are those of ../shared/pdk, or the one whose Liberty
files are given. One section can be measured alone, with all others as that file has them. Status 1 if a goal is missed, 2 if there
is no library.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from numbers_table import Row, measured_before, record
from rich.console import Console

from cleave.numerics.formats import OPERANDS
from cleave.report import estimate
from cleave.report.area import Workers, array_report, blocks_report, cells_report, conditions, precision_report
from cleave.report.goals import ARRAYS, GOALS, applies
from cleave.report.liberty import Library, LibraryError, open_library
from cleave.report.numerics import NUMERICS, SEAM_MULTIPLIER
from cleave.report.tables import Table, array_table, blocks_table, cells_table, goals_table, number
from cleave.report.tools import SynthesisError

ROOT = Path(__file__).parents[1]
PDK = ROOT.parent / "shared/pdk"
LIBRARIES = {"sky130hd": "sky130hd_tt.lib.gz", "SG13G2": "sg13g2_typ_*.lib.gz", "ASAP7": "asap7sc7p5t_*_TT_*.lib.gz"}
"""Libraries and their files in PDK."""

SCALED = " with block scales"
"""What the name of a shape ends in where its engine has them."""


def libraries(liberty: list[Path]) -> dict[str, list[Path]]:
    """Give the files of every library; say which are not there."""
    if liberty:
        return {liberty[0].name.split(".")[0]: liberty}
    found = {name: sorted(PDK.glob(files)) for name, files in LIBRARIES.items()}
    for name, files in found.items():
        if not files:
            print(f"{name} skipped: {PDK / LIBRARIES[name]} is not there", file=sys.stderr)
    return {name: files for name, files in found.items() if files}


PRECISION = ("4x32x128", "4x32x128" + SCALED)
"""Arrays that are measured with two lanes in each column, too."""

SECTIONS: dict[str, Callable[[Library, Workers], Any]] = {
    "cells": cells_report,
    "numerics": lambda library, workers: blocks_report(library, workers, NUMERICS),
    "blocks": blocks_report,
    "precision": lambda library, workers: precision_report({shape: ARRAYS[shape] for shape in PRECISION}, library, workers),
    "arrays": lambda library, workers: {shape: array_report(config, library, workers) for shape, config in ARRAYS.items()},
}
"""What measures each section of a library's report."""


def measure(name: str, files: list[Path], console: Console, sections: Iterable[str]) -> dict[str, Any]:
    """Measure sections on one library."""
    with console.status(name) as status:
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            status.update(f"{name}: {done} synthesised")

        with open_library(*files) as library, Workers(count) as workers:
            return conditions(library) | {section: SECTIONS[section](library, workers) for section in sections}


def completed(reports: Mapping[str, Mapping[str, Any]], file: Path) -> dict[str, dict[str, Any]]:
    """Take the sections that were not measured from what the file has of the same libraries, measured with the same tools.

    Raises
    ------
    ValueError
        If it does not have them.
    """
    earlier = measured_before(file, "sections")
    for name, report in reports.items():
        same = {key: value for key, value in report.items() if key not in SECTIONS}
        if name not in earlier or any(earlier[name].get(key) != value for key, value in same.items()):
            raise ValueError(f"{file} must have {name}, by the same recipe and tools: measure all sections")
        if missing := SECTIONS.keys() - report.keys() - earlier[name].keys():
            raise ValueError(f"{file} must have {name}'s {', '.join(sorted(missing))}: measure all sections")
    return {name: {**earlier[name], **report} for name, report in reports.items()}


HEAD = """\
# Area and delay on standard cells

Written by `make report-cells`; `cleave report area --liberty LIB` gives cells, blocks and arrays for any engine and library.
"""
CELLS = """\
## Cells

INT8, um2 and registers per MAC, for a slab of 32 rows, from a tile of 2 x 2 cells. Every register counts: one activation, two
stationary operands, the partial sum, the sums of pairs, the swap; and so do clock gates and the decoder of the row that is
written. *textbook* is 8-bit operands and 32-bit sums, as most open arrays have it. *Full adders* are the library's cells;
*FA + reg.* is the part of the area that full adders and registers alone take.
"""
TRIED = """\
### What was tried

Against `gates, dot 8`, the cell as it is: products in pairs, sums of pairs held, reduced-area tree, Brent-Kung adder.
"""
ARRAYS_TEXT = """\
## What the split costs

The split array against the monolithic array of the same cells and the textbook's array, each with its engine around it. Every
distinct module is synthesised once and counted as often as it stands there. Constants pass through first, so the monolithic
array has no adder for a slab above.

*The array* is what splitting touches: *cells* (whole columns), *seams*, *skew* registers of operands, *sequencers* with the slabs'
queues, *ports* that write operand banks and read accumulators, and *control*: tokens and what else a slab has, dispatcher,
dependencies, supervisor, counters. *The engine* has LOAD, DRAIN, instruction fetch, bus and registers besides, which do the same
work however the array is cut. Queues are made of registers and count as logic; scratchpad and accumulators are memories, and
stand apart. The textbook's array has the smallest of its cells that was found.
"""
SCALES_TEXT = """\
## What block scales cost

An engine with element formats and block scales against the same for INT8 only, per column of the array and as a share of the
whole array's logic. *Seams* are all slabs' seams of a column: the shifter, its distances, and 48 instead of 32 bits. *Ports* and
*control* have the distances' writes and the shifts' tokens. *Drain* rounds to all formats in all modes; *load* has decoders and
subtractors. Both are there once, however many slabs there are.
"""
NUMERICS_TEXT = """\
## What a rounding mode costs

A *lane of the drain* adds a row's and a column's exponent and rounds one 48-bit sum a cycle to any of nine formats, in any of
four modes: seven stages of registers. Beside it are lanes without one of the modes, and with one alone, whose number of formats is
the same. Without a mode what only it needs is left out, as random numbers are without the stochastic one. abc's choices differ by
about 1 % of area from one netlist to the next that should be alike, and by more in delay. Delays are of cells between a block's own
registers, or from inputs to outputs where it has none.

The *rounder* is the lane without the exponents' sum. A *block scaler* finds the scale of 32 values, which wait in registers with
their random numbers; a drain has one beside its lanes, which are as many as the scaler's. *E4M3 scales at a seam* is what NVFP4
would need at each seam and column, besides the shifter: two significands of 4 bits times each other, and times a slab's sum of 21
bits, without registers.
"""
PRECISION_TEXT = """\
## What four bits give

Cells that hold two operands of 4 bits in the place of one INT8, by what they cost for each place, dot 8, and how many products a
place adds a cycle: INT8 by INT8, INT8 by 4 bits (W4A8), and 4 bits by 4 bits (W4A4). *A sum each*: the two stationary operands of
a place meet the same moving one, and each has a result of its own: a pass has twice the columns, and a column two seams. *One sum*:
the two meet moving operands of their own, so a pass contracts over twice as many. An array with two lanes in each column has the
second; with operands from -15 to 15, it takes E2M1 as well as INT4.
"""
LANES_TEXT = """\
Of whole arrays, each with all that belongs to slabs, in thousands of um2: INT8 alone, and two lanes in each column. *W4A8 / um2*
is what an area multiplies in a cycle, against the array for INT8 alone, and *INT8 / um2* likewise. *One sum* is an array of two
moving operands in each place, whose seams are those of INT8 alone; twice as wide moving banks and skew are not counted.
"""
BLOCKS_TEXT = """\
## Blocks

abc redraws what it is given: prefix adders of few bits come out as one and the same.
"""


def page(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the page for all libraries; goals and the arrays' parts are for the one with goals, or the first."""
    held = next((name for name, report in reports.items() if applies(report["library"]["name"])), next(iter(reports)))
    report = reports[held]
    goals = ["## Goals\n", f"On {held}.\n", goals_table(GOALS, report).markdown()] if applies(report["library"]["name"]) else []
    parts = [
        text for shape, array in report["arrays"].items() for text in (f"### {shape}, {held}\n", array_table(array).markdown())
    ]
    return "\n".join([
        HEAD, *how(reports), *goals,
        CELLS, cells_table(reports).markdown(), TRIED, tried(reports).markdown(),
        ARRAYS_TEXT, summary(reports).markdown(), *scaled(reports), *parts, SCALES_TEXT, scales(reports).markdown(),
        NUMERICS_TEXT, blocks_table(reports, "numerics").markdown(), *nvfp4(reports),
        PRECISION_TEXT, structures(reports).markdown(), LANES_TEXT, lanes(reports).markdown(),
        BLOCKS_TEXT, blocks_table(reports).markdown(),
    ]).rstrip("\n") + "\n"  # fmt: skip


def how(reports: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say what all numbers hold for."""
    first = next(iter(reports.values()))
    tools, avoided = first["tools"], ", ".join(f"`{pattern}`" for pattern in first["library"]["cells_not_used"])
    rows = []
    for name, report in reports.items():
        hard = ", ".join(f"`{cell}`" for cell in report["library"]["hard_cells"])
        rows.append((name, f"`{report['library']['name']}`", hard or "none"))
    delays = (
        f"Delays are by OpenSTA {tools['opensta']}, of the mapped netlist before layout, gates and pin loads without wires: of "
        "cells between registers, with clock-to-output and setup, of blocks from inputs to outputs."
    )
    return [
        Table(("library", "name in its files", "cells that take the place of the generators' gates"), rows, words=3).markdown(),
        f"One recipe for everything, {tools['yosys']}: {first['recipe']}. Not used: {avoided}. Areas are sums of cell areas.\n",
        (delays if tools["opensta"] else "There are no delays, as OpenSTA was not installed.") + "\n",
    ]


def tried(reports: Mapping[str, Mapping[str, Any]]) -> Table:
    """Variants of a cell, by how much they are larger and slower."""
    base = "gates, dot 8"
    head = ["instead", *(word for name in reports for word in (f"{name} area", "delay"))]
    rows = []
    for name in next(iter(reports.values()))["cells"]:
        if name.startswith(f"{base}, ") and "stage" not in name:
            row = [name.removeprefix(f"{base}, ")]
            for report in reports.values():
                this, that = report["cells"][name], report["cells"][base]
                row += [change(this[key], that[key]) for key in ("um2_per_mac", "delay_ns")]
            rows.append(tuple(row))
    return Table(tuple(head), rows)


def change(value: float | None, base: float | None) -> str:
    """Write by how much a number is more."""
    return "-" if value is None or base is None else f"{100 * (value / base - 1):+.1f} %"


def summary(reports: Mapping[str, Mapping[str, Any]]) -> Table:
    """Every array on every library."""
    head = (
        "library", "array", "1000 um2", "um2 / MAC", "/ monolithic", "/ textbook", "engine, 1000 um2", "/ monolithic",
        "memory, kbit",
    )  # fmt: skip
    rows = [
        (
            name, shape, number(array["logic_um2"] / 1000), number(array["logic_um2"] / array["macs"]),
            f"{array['split_over_monolithic']:.3f}", f"{array['split_over_textbook']:.3f} ({array['textbook_cell']})",
            number(array["engine_logic_um2"] / 1000), f"{array['engine_split_over_monolithic']:.3f}",
            number(array["memory_bits"] / 1000),
        )
        for name, report in reports.items() for shape, array in report["arrays"].items()
    ]  # fmt: skip
    return Table(head, rows, words=2)


def pairs(reports: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]]:
    """Give library, shape, and the arrays for INT8 only and with block scales, of every shape that was measured as both."""
    for name, report in reports.items():
        arrays = report["arrays"]
        for shape in arrays:
            if shape + SCALED in arrays:
                yield name, shape, arrays[shape], arrays[shape + SCALED]


def scaled(reports: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say what block scales cost against a monolithic array without them."""
    lines = []
    for name, shape, plain, with_scales in pairs(reports):
        ratio = with_scales["logic_um2"] / plain["arrays"]["monolithic"]["logic_um2"]
        lines.append(f"On {name}, {shape}{SCALED} is {ratio:.3f} of a monolithic array without.\n")
    return lines


def scales(reports: Mapping[str, Mapping[str, Any]]) -> Table:
    """Tabulate what an engine has more with block scales than without."""
    head = ("library", "array", "part", "um2 per column, INT8 only", "with scales", "share of the array", "more")
    found = []
    for name, shape, plain, with_scales in pairs(reports):
        columns, whole = ARRAYS[shape].array.columns, with_scales["logic_um2"]
        for group, part in [("split", "seams"), ("split", "ports"), ("split", "control"), ("", "load"), ("", "drain")]:
            before, after = (
                (array["parts"][group] if group else array["engine_parts"]["split"])[f"{part}_um2"]
                for array in (plain, with_scales)
            )
            found.append((
                name, shape, part, number(before / columns), number(after / columns),
                f"{100 * after / whole:.1f} %", f"{100 * (after - before) / whole:.1f} %",
            ))  # fmt: skip
    return Table(head, found, words=3)


def nvfp4(reports: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say what NVFP4's scales would take beside what is there."""
    lines = []
    for name, shape, _, with_scales in pairs(reports):
        array, parts = ARRAYS[shape].array, with_scales["parts"]["split"]
        columns, block_rows = array.slabs * array.columns, OPERANDS["nvfp4"].block or array.rows
        um2 = min(block["area_um2"] for block in reports[name]["numerics"] if block["does"] == SEAM_MULTIPLIER)
        lines.append(
            f"On {name}, {shape}, the smaller one is {100 * um2 * columns / parts['seams_um2']:.0f} % of a seam with block scales; "
            f"one for every {block_rows} rows is {100 * um2 * columns * array.rows / block_rows / parts['cells_um2']:.1f} % "
            "of the cells.\n"
        )
    return lines


def structures(reports: Mapping[str, Mapping[str, Any]]) -> Table:
    """Tabulate the cells that hold two operands of 4 bits in the place of one INT8."""
    head = ["cell", "INT8", "W4A8", "W4A4", "moving bytes"]
    for name in reports:
        head += [f"{name} um2 / place", "ns", "um2 / W4A8 product"]
    found = []
    for name, fact in next(iter(reports.values()))["precision"]["structures"].items():
        row = [name, *(str(fact[kind]) for kind in ("int8", "w4a8", "w4a4", "moving_bytes"))]
        for report in reports.values():
            here = report["precision"]["structures"][name]
            row += [number(here["um2_per_place"]), number(here["delay_ns"], 3), number(here["um2_per_place"] / fact["w4a8"])]
        found.append(tuple(row))
    return Table(tuple(head), found)


def lanes(reports: Mapping[str, Mapping[str, Any]]) -> Table:
    """Tabulate arrays with two lanes against those for INT8 alone."""
    head = ("library", "array", "INT8 alone", "two lanes", "cells", "seams", "W4A8 / um2", "INT8 / um2", "one sum, W4A8 / um2")
    found = []
    for name, report in reports.items():
        cells = report["precision"]["structures"]
        growth = cells["two moving operands, one sum"]["um2_per_place"] / cells["INT8 alone"]["um2_per_place"]
        for shape, double in report["precision"]["lanes"].items():
            single, parts = report["arrays"][shape], report["arrays"][shape]["parts"]["split"]
            ratio = double["logic_um2"] / single["logic_um2"]
            together = 1 + (growth - 1) * parts["cells_um2"] / single["logic_um2"]
            found.append((
                name, shape, number(single["logic_um2"] / 1000), f"{number(double['logic_um2'] / 1000)} ({ratio:.3f})",
                *(f"{double[part] / parts[part]:.3f}" for part in ("cells_um2", "seams_um2")),
                f"{2 / ratio:.3f}", f"{1 / ratio:.3f}", f"{2 / together:.3f}",
            ))  # fmt: skip
    return Table(head, found, words=2)


def rows(reports: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Give rows of the README's table."""
    found: list[Row] = []
    for name, report in reports.items():
        cells = {key: number(cell["um2_per_mac"]) for key, cell in report["cells"].items()}
        found.append((
            f"area per INT8 MAC, {name}", f"{cells['gates, dot 8']} um2",
            f"textbook: {cells['textbook, * and +']} with `*` and `+`, {cells['textbook, Booth']} with Booth",
            "yosys, every register counted, `gates` cells, dot 8",
        ))  # fmt: skip
    name, report = next(iter(reports.items()))
    for shape in ("4x16x64", "4x32x128"):
        array = report["arrays"][shape]
        found.append((
            f"what splitting costs, {shape}, {name}", f"{100 * (array['split_over_monolithic'] - 1):+.1f} % area",
            f"textbook array: {100 * (array['split_over_monolithic'] / array['split_over_textbook'] - 1):+.0f} %",
            "against one slab of the same cells; all logic but memories",
        ))  # fmt: skip
    return found


def main() -> int:
    """Measure, write, and say which goals are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("liberty", type=Path, nargs="*", help="Liberty files of one library, instead of those of ../shared/pdk")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/area.md", help="file for the tables")
    parser.add_argument("--json", type=Path, default=ROOT / "out/report_cells.json", help="file for all numbers")
    parser.add_argument("--only", choices=SECTIONS, help="measure this section, and take all others from the file for all numbers")
    arguments = parser.parse_args()
    console, sections = Console(stderr=True), [arguments.only] if arguments.only else list(SECTIONS)
    try:
        reports = {name: measure(name, files, console, sections) for name, files in libraries(arguments.liberty).items()}
        if arguments.only:
            reports = completed(reports, arguments.json)
    except (LibraryError, SynthesisError, ValueError) as error:
        print(f"report-cells: {error}", file=sys.stderr)
        return 2
    if not reports:
        print("report-cells: no library; LIBERTY=FILE names one", file=sys.stderr)
        return 2
    arguments.json.parent.mkdir(exist_ok=True)
    arguments.json.write_text(json.dumps(reports, indent=2) + "\n")
    arguments.page.write_text(page(reports))
    if not arguments.liberty:
        record("cells", rows(reports))
        estimate.write(reports)
    held = [report for report in reports.values() if applies(report["library"]["name"])]
    missed = [f"{goal.row} {goal.key}" for report in held for goal in GOALS if goal.missed(report)]
    goals = f"{len(GOALS) * len(held) - len(missed)} of {len(GOALS) * len(held)} goals met"
    print(f"report-cells: {', '.join(reports)}; {goals}" + (f"; missed: {', '.join(missed)}" if missed else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
