"""Tables of the suite, for a terminal and for Markdown; they are made of the report, `bench.report`."""

from collections.abc import Mapping
from typing import Any

from ..report.tables import Table, number, percent
from .bench import BASELINES, SPLIT

__all__ = ["ARRAY_HEAD", "MEMORY_HEAD", "array_table", "front_table", "memory_table"]

MEMORY_HEAD = (
    "workload", "M x K x N", "cycles", *(f"mono ({short})" for short in BASELINES.values()), "utilisation",
    *(f"x over ({short})" for short in BASELINES.values()), "bound", "reached", "goal", "largest loss", "by",
)  # fmt: skip
ARRAY_HEAD = (
    "workload", "cycles", *(f"mono ({short})" for short in BASELINES.values()), "SCALE-Sim", "utilisation",
    *(f"x over ({short})" for short in BASELINES.values()), "x over SCALE-Sim", "partition", "SRAM read", "SRAM written", "hops",
    "DRAM",
)  # fmt: skip

Report = Mapping[str, Any]


def _shape(row: Mapping[str, Any]) -> str:
    parts = row["parts"]
    some = f"{len(parts)} parts, " if len(parts) > 1 else ""
    return f"{some}{row['m']} x {row['k']} x {row['n']}"


def _cycles(row: Mapping[str, Any], engine: str, which: str) -> str:
    return f"{row[engine][which]:,}"


def _times(value: float) -> str:
    return f"{value:.2f}"


def _loss(prediction: Mapping[str, Any]) -> str:
    cause, cycles = next(iter(prediction["lost_cycles"].items()))
    return f"{cause}, {percent(cycles / prediction['cycles'])}"


def memory_table(report: Report) -> Table:
    """Tabulate what workloads take with their memory: cycles, speed-up over the baselines, bound and what is reached of it."""
    rows = []
    for row in report["workloads"]:
        split = row[SPLIT]
        short = split["reached"] < row["goal"]
        rows.append((
            row["name"], _shape(row), *(_cycles(row, engine, "cycles") for engine in (SPLIT, *BASELINES)),
            percent(split["utilisation"]), *(_times(row[f"speedup_over_{name}"]) for name in BASELINES),
            split["bound"], percent(split["reached"]), percent(row["goal"]),
            _loss(split) if short else "",
            "RTL" if split["rtl"] else "model",
        ))  # fmt: skip
    for group, means in report["geometric_means"].items():
        rows.append((
            f"geometric mean, {group}", "", "", "", "", percent(means["utilisation"]),
            *(_times(means[f"speedup_over_{name}"]) for name in BASELINES), "", percent(means["reached"]), "", "", "",
        ))  # fmt: skip
    return Table(MEMORY_HEAD, rows, words=2)


def array_table(report: Report) -> Table:
    """Tabulate what the array alone takes: cycles, speed-up over the baselines and SCALE-Sim's count, and energy proxies."""
    rows = []
    proxies = ("scratchpad_read", "scratchpad_written", "register_hop", "dram")
    for row in report["workloads"]:
        split = row[SPLIT]
        rows.append((
            row["name"], *(_cycles(row, engine, "array_cycles") for engine in (SPLIT, *BASELINES)),
            f"{row['scale_sim_cycles']:,}", percent(split["array_utilisation"]),
            *(_times(row[f"array_speedup_over_{name}"]) for name in (*BASELINES, "scale_sim")),
            f"{split['side_by_side']} x {split['partition']}", *(number(row[f"{proxy}_bytes_per_mac"], 3) for proxy in proxies),
        ))  # fmt: skip
    for group, means in report["geometric_means"].items():
        rows.append((
            f"geometric mean, {group}", "", "", "", "", percent(means["array_utilisation"]),
            *(_times(means[f"array_speedup_over_{name}"]) for name in (*BASELINES, "scale_sim")), "", "", "", "", "",
        ))  # fmt: skip
    return Table(ARRAY_HEAD, rows)


def front_table(found: Report) -> Table:
    """Tabulate the points on the front of a search, `explore.search`."""
    head = (
        "array", "MACs", "bytes a cycle", "area, mm2", "utilisation", "array alone", "reached", "MAC / cycle", "MAC / cycle / mm2"
    )  # fmt: skip
    rows = [
        (
            point["config"], f"{point['macs']:,}", f"{point['bandwidth_bytes_per_cycle']:g}", number(point["area_um2"] / 1e6),
            percent(point["utilisation"]), percent(point["array_utilisation"]), percent(point["reached"]),
            number(point["macs_per_cycle"]), number(point["macs_per_cycle"] / point["area_um2"] * 1e6),
        )
        for point in found["points"] if point["front"]
    ]  # fmt: skip
    return Table(head, rows)
