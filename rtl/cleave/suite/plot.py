"""Plots as SVG, the same bytes for the same numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import replacing
from .bench import BASELINES, SPLIT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_front", "plot_suite"]

INCHES = 0.19
"""Height of a workload's line."""


def _figure(width: float, height: float, panels: int) -> "tuple[Figure, Any]":
    import matplotlib as mpl  # noqa: PLC0415  takes most of a second

    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "cleave"
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, panels, sharey=panels > 1)


def _save(figure: "Figure", path: Path) -> None:
    with replacing(path) as file:
        figure.savefig(file, format="svg", metadata={"Date": None})


def plot_suite(report: Mapping[str, Any], path: Path) -> None:
    """Draw each workload's speed-up of the array alone, utilisation with and without memory, and reached share of the bound."""
    rows = report["workloads"]
    names, places = [row["name"] for row in rows], list(range(len(rows)))
    figure, (speed, used, reached) = _figure(14, 1.5 + INCHES * len(rows), 3)
    for name, colour in zip((*BASELINES, "scale_sim"), ("tab:blue", "tab:orange", "tab:green"), strict=True):
        label = f"over {name.replace('_', ' ')}"
        speed.plot([row[f"array_speedup_over_{name}"] for row in rows], places, "o", ms=4, color=colour, label=label)
    speed.set_xscale("log", base=2)
    speed.xaxis.set_major_formatter("{x:g}")
    speed.axvline(1, color="black", lw=0.6)
    speed.set_title(f"speed-up of the array alone, {report['configurations'][SPLIT]}")
    speed.set_yticks(places, names, fontsize=7)
    speed.invert_yaxis()
    used.barh(places, [row[SPLIT]["array_utilisation"] for row in rows], color="lightsteelblue", label="array alone")
    used.barh(places, [row[SPLIT]["utilisation"] for row in rows], height=0.4, color="tab:blue", label="with memory")
    used.set_title("utilisation")
    reached.barh(places, [row[SPLIT]["reached"] for row in rows], color="tab:gray", label="bound / cycles")
    reached.plot([row["goal"] for row in rows], places, "|", color="black", label="goal")
    reached.set_title("reached of the bound")
    for axes in (used, reached):
        axes.set_xlim(0, 1.02)
    for axes in (speed, used, reached):
        axes.grid(axis="x", lw=0.3)
        axes.legend(loc="lower right", fontsize=7)
    _save(figure, path)


def plot_front(points: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw utilisation over area of all arrays, one colour for each bandwidth; those on the front are ringed."""
    figure, axes = _figure(8, 5.5, 1)
    for bandwidth in sorted({point["bandwidth_bytes_per_cycle"] for point in points}):
        here = [point for point in points if point["bandwidth_bytes_per_cycle"] == bandwidth]
        areas, used = [[point[key] for point in here] for key in ("area_um2", "utilisation")]
        dots = axes.plot(areas, used, "o", ms=4, alpha=0.6, label=f"{bandwidth:g} bytes a cycle")
        front = sorted((point["area_um2"], point["utilisation"]) for point in here if point["front"])
        if front:
            axes.plot(*zip(*front, strict=True), "o-", mfc="none", ms=8, lw=0.8, color=dots[0].get_color())
    axes.set_xscale("log")
    axes.set_xlabel("area of the array's logic, um2 (estimate)")
    axes.set_ylabel("utilisation, geometric mean")
    axes.grid(lw=0.3)
    axes.legend(fontsize=8)
    _save(figure, path)
