"""The tables that `cleave run` prints."""

from collections.abc import Callable
from itertools import groupby

from rich.console import Console
from rich.table import Table

from .result import Result, Work


def show(result: Result, console: Console) -> None:
    """Print the result; its last line is the verdict."""
    array = result.config.array
    console.print(
        f"Handwritten digits on {result.config.name}, slabs: {array.slabs} of {array.rows} x {array.columns} MACs, "
        f"{result.backend} backend: {result.images} held-out images"
    )
    console.print(accuracy(result))
    console.print(layers(result))
    if result.comparison:
        works = result.comparison
        title = "Small batches, from memory to memory: cycles (utilisation)"
        console.print(comparison(title, works, lambda work: work.cycles))
        title = "The same passes on the array alone, operands in the scratchpad: cycles (utilisation)"
        console.print(comparison(title, works, lambda work: work.resident_cycles))
    speed = result.useful_macs / result.wall_seconds
    cycles = f" in {result.cycles:,} cycles" if result.cycles else ""
    console.print(f"{result.useful_macs:,} MACs{cycles}, {result.wall_seconds:.1f} s: {speed / 1e6:.1f} million MAC/s")
    values = f"{result.checked:,} values of {result.images} images"
    console.print(f"[bold green]PASS[/] all {values} equal the integer reference, bit for bit")


def accuracy(result: Result) -> Table:
    """Tabulate right answers of the engine, the integer reference and the float network."""
    table = Table("network", "images right", "accuracy", title="Accuracy")
    for name, right in result.right.items():
        table.add_row(name, f"{right} of {result.images}", f"{right / result.images:.2%}")
    return table


def layers(result: Result) -> Table:
    """Tabulate the main run layer by layer, over all its batches."""
    table = Table("layer", "M x K x N", "partition", title=f"Main run, batches of {result.batch}")
    table.add_column("cycles (utilisation)", justify="right")
    for work in result.layers:
        shape = f"{work.m} x {work.k} x {work.n}"
        table.add_row(str(work.layer), shape, slabs(work), cost(work, work.cycles))
    return table


def comparison(title: str, works: list[Work], cycles: Callable[[Work], int]) -> Table:
    """Tabulate small batches on this array and on monolithic ones, side by side."""
    names = list(dict.fromkeys(work.engine for work in works))
    table = Table("layer", "M x K x N", "partition", title=title)
    for name in names:
        table.add_column(name, justify="right")
    for name in names[1:]:
        table.add_column(f"speed-up over {name}", justify="right")
    ordered = sorted(works, key=lambda work: (work.m, work.layer, names.index(work.engine)))
    for _, group in groupby(ordered, key=lambda work: (work.m, work.layer)):
        own, *others = group
        cells = [cost(work, cycles(work)) for work in (own, *others)]
        ratios = [f"{cycles(work) / cycles(own):.2f}" for work in others]
        table.add_row(str(own.layer), f"{own.m} x {own.k} x {own.n}", slabs(own), *cells, *ratios)
    return table


def slabs(work: Work) -> str:
    """Say how many slabs a partition has."""
    return "1 slab" if work.partition == 1 else f"{work.partition} slabs"


def cost(work: Work, cycles: int) -> str:
    """Say cycles and utilisation, or that the backend has no timing."""
    utilisation = work.utilisation(cycles)
    return "-" if utilisation is None else f"{cycles:,} ({utilisation:.1%})"
