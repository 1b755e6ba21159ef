"""The tables that `cleave run` prints."""

from itertools import groupby

from rich.console import Console
from rich.table import Table

from .result import Result, Work


def show(result: Result, console: Console) -> None:
    """Print the result; its last line is the verdict."""
    array = result.config.array
    console.print(
        f"Handwritten digits on {result.config.name}: {array.slabs} slabs of {array.rows} x {array.columns} MACs, "
        f"{result.backend} backend, {result.images} held-out images"
    )
    console.print(accuracy(result))
    console.print(layers(result))
    if result.comparison:
        console.print(comparison(result.comparison))
    console.print(
        f"{result.useful_macs:,} MACs in {result.cycles:,} cycles; {result.wall_seconds:.1f} s of simulation, "
        f"{result.useful_macs / result.wall_seconds / 1e6:.1f} million MAC/s"
    )
    console.print(
        f"[bold green]PASS[/] every one of {result.checked:,} values of the {result.images} images "
        "equals the integer reference, bit for bit"
    )


def accuracy(result: Result) -> Table:
    """Tabulate right answers of the engine, the integer reference and the float network."""
    table = Table("network", "images right", "accuracy", title="Accuracy")
    for name, right in result.right.items():
        table.add_row(name, f"{right} of {result.images}", f"{right / result.images:.2%}")
    return table


def layers(result: Result) -> Table:
    """Tabulate the main run layer by layer."""
    table = Table("layer", "M x K x N", "partition", "cycles", "utilisation", "array", title="Main run")
    for work in result.layers:
        shape = f"{result.images} x {work.k} x {work.n}"
        table.add_row(str(work.layer), shape, work.partition, f"{work.cycles:,}", *percentages(work))
    return table


def comparison(works: list[Work]) -> Table:
    """Tabulate small batches on this array and on monolithic ones, side by side."""
    names = list(dict.fromkeys(work.engine for work in works))
    table = Table("layer", "M x K x N", "partition", title="Small batches, split and monolithic: cycles (utilisation)")
    for name in names:
        table.add_column(name, justify="right")
    for name in names[1:]:
        table.add_column(f"speed-up over {name}", justify="right")
    ordered = sorted(works, key=lambda work: (work.m, work.layer, names.index(work.engine)))
    for _, group in groupby(ordered, key=lambda work: (work.m, work.layer)):
        own, *others = group
        cells = [f"{work.cycles:,} ({work.utilisation:.1%})" for work in (own, *others)]
        ratios = [f"{work.cycles / own.cycles:.2f}" for work in others]
        table.add_row(str(own.layer), f"{own.m} x {own.k} x {own.n}", own.partition, *cells, *ratios)
    return table


def percentages(work: Work) -> tuple[str, str]:
    """Utilisation with everything, and of the array alone."""
    return f"{work.utilisation:.1%}", f"{work.array_utilisation:.1%}"
