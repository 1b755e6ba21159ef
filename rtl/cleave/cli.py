"""The `cleave` command. Whatever is wrong with its input ends it with status 2 and one line on standard error."""

import contextlib
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import click

from .config import CELLS, DRAM_LATENCY, ConfigError, load_config
from .files import replacing, write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.console import Console

    from .api import Backend
    from .config import EngineConfig
    from .numerics.quantise import Quantised

BAD_INPUT = 2
FAILED = 1
LEAST_BANDWIDTH = 0.01
"""Bytes a cycle of a memory: with less, a prediction takes minutes."""


class BadInputError(click.ClickException):
    """Something wrong with what was given; the message says what is allowed."""

    exit_code = BAD_INPUT


File = click.Path(dir_okay=False, path_type=Path)


def output_file(_context: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
    """Refuse, before any work is done, a file that could not be written."""
    if path is not None:
        if path.is_dir():
            raise click.BadParameter(f"{path} must be a file, not a folder")
        if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
            raise click.BadParameter(f"{path} must be a regular file that may be written, or not exist")
        if not path.parent.is_dir():
            raise click.BadParameter(f"the folder of {path} must exist: {path.parent} does not")
        if not os.access(path.parent, os.W_OK):
            raise click.BadParameter(f"the folder of {path} must be writable")
    return path


def array_options(command: Callable[..., None], *, cell: str | None = None) -> Callable[..., None]:
    """Add --config and what overrides it; the command gets a `config`, of cells of the kind `cell` unless told otherwise."""

    @functools.wraps(command)
    def wrapper(*, config: str, **arguments: Any) -> None:  # noqa: ANN401  as click gives them
        names = ("slabs", "rows", "columns", "dot", "load_rows", "cell", "multiply_stages")
        try:
            loaded = load_config(config, **{name: arguments.pop(name) for name in names})
        except ConfigError as error:
            raise BadInputError(str(error)) from error
        command(config=loaded, **arguments)

    wrapper = click.option(
        "--cell", type=click.Choice(CELLS), default=cell, show_default=cell is not None, help="Override: kind of cell."
    )(wrapper)
    for name, meaning in [
        ("multiply-stages", "pipeline registers between multipliers and sums"),
        ("load-rows", "stationary rows written per cycle and slab"),
        ("dot", "products added in one cell"),
        ("columns", "columns of a slab"),
        ("rows", "rows of MACs of a slab"),
        ("slabs", "slabs of the array"),
    ]:
        wrapper = click.option(f"--{name}", type=int, metavar="N", help=f"Override: {meaning}.")(wrapper)
    return click.option(
        "--config", default="default", show_default=True, metavar="NAME|FILE.toml", help="Preset or TOML file."
    )(wrapper)


backend_option = click.option(
    "--backend", type=click.Choice(["rtl", "model"]), default="rtl", show_default=True,
    help="The simulated hardware, or the bit-exact model without timing.",
)  # fmt: skip
json_file_option = click.option(
    "--json", "json_path", type=File, callback=output_file, help="Write the results to this file as well."
)


class Commands(click.Group):
    """A group that names its commands where it is given another."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments begin with."""
        if args[0] not in self.commands:
            ctx.fail(f"command must be one of {', '.join(sorted(self.commands))}, not {args[0]!r}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(package_name="cleave")
def cli() -> None:
    """Cleave: a matrix engine whose systolic array splits and fuses, instruction by instruction."""


@cli.command()
@click.argument("a", type=File)
@click.argument("b", type=File)
@click.option(
    "-o", "--output", type=File, callback=output_file, required=True,
    help="File for the product: .npy has int32, or float32 of floats; .npz has the codes and scales of --result.",
)  # fmt: skip
@click.option("--stats", type=File, callback=output_file, help="File for the cost, JSON.")
@click.option("--partition", type=int, metavar="N", help="Slabs fused into one partition; chosen if not given.")
@click.option(
    "--format", metavar="NAME[:NAME]",
    help="Quantise float matrices along K to int8, int4, mxint8, mxfp6 or mxfp4; MOVING:STATIONARY for different formats.",
)  # fmt: skip
@click.option(
    "--precision", metavar="NAME",
    help="16 or 24: multiply float matrices in INT8 slices of so many bits; or a name as of --format.",
)  # fmt: skip
@click.option(
    "--result", metavar="NAME",
    help="Round the product of floats to fp32, bf16, fp16, e4m3, e5m2, or to mxint8, mxfp6, mxfp4 with scales along its rows.",
)  # fmt: skip
@backend_option
@array_options
def matmul(
    *,
    config: "EngineConfig",
    a: Path,
    b: Path,
    output: Path,
    stats: Path | None,
    partition: int | None,
    format: str | None,  # noqa: A002  as the option is called
    precision: str | None,
    result: str | None,
    backend: "Backend",
) -> None:
    """Multiply two matrices, A.npy and B.npy: INT8, or of floats with --format or --precision."""
    from .api import Engine  # noqa: PLC0415

    if stats is not None and stats.resolve() == output.resolve():
        raise BadInputError(f"--stats must be another file than --output, not {stats}")
    numbers = float_options(format, precision, result)
    if output.suffix == ".npz" and result is None:
        raise BadInputError(f"--output must be a .npy file without --result, not {output}")
    left, right = read_array(a), read_array(b)
    with working(f"{config.name}: multiplying"), Engine(config, backend=backend) as engine:
        try:
            multiply = engine.matmul_float if numbers else engine.matmul
            product, cost = multiply(left, right, partition=partition, **numbers)
        except (ValueError, TypeError) as error:
            raise BadInputError(str(error)) from error
    with replacing(output) as file:
        write_product(file, product, result, codes=output.suffix == ".npz")
    if stats is not None:
        write_json(stats, cost.as_dict())
    if cost.error_bound is not None:
        click.echo(f"no value is off by more than {cost.error_bound:.3g}")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with units in the key names.")
@array_options
def info(config: "EngineConfig", *, as_json: bool) -> None:
    """Show what a configuration comes to: MACs, banks, widths, latencies."""
    from .info import derived  # noqa: PLC0415

    show_values("of " + config.name, derived(config), as_json=as_json)


def show_values(title: str, values: "Mapping[str, Any]", *, as_json: bool) -> None:
    """Print values by name: as JSON, or as a table for people."""
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(title, "", show_edge=False)
    formats = {int: ",", float: ".4f"}
    for name, value in values.items():
        inner = value if isinstance(value, dict) else {"": value}
        lines = [f"{format(each, formats.get(type(each), ''))} {of}".strip() for of, each in inner.items() if each or not of]
        table.add_row(name.replace("_", " "), "\n".join(lines))
    Console().print(table)


@cli.command()
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder; made if need be."
)
@click.option(
    "--clock-mhz", type=click.FloatRange(1e-3, 1e5), default=200.0, show_default=True, help="For the SDC."
)
@array_options
def verilog(config: "EngineConfig", output: Path, clock_mhz: float) -> None:
    """Write Verilog, the list of memories, timing constraints and a flow description."""
    from .export import write_verilog  # noqa: PLC0415

    with working(f"{config.name}: writing Verilog"):
        paths = write_verilog(config, output, clock_mhz=clock_mhz)
    for path in paths:
        click.echo(f"{path}  {path.stat().st_size:,} bytes")


@cli.command()
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Run the first N images only.")
@json_file_option
@backend_option
@array_options
def run(config: "EngineConfig", limit: int | None, json_path: Path | None, backend: "Backend") -> None:
    """Recognise handwritten digits: a small INT8 network, every held-out image, every bit checked."""
    from rich.console import Console  # noqa: PLC0415

    from .network.run import MismatchError, run_digits  # noqa: PLC0415

    try:
        run_digits(config, backend=backend, limit=limit, json_path=json_path, console=Console())
    except MismatchError as error:
        raise click.ClickException(f"FAIL {error}") from error


@cli.group(cls=Commands, no_args_is_help=False)
def report() -> None:
    """Measure what the hardware comes to."""


@report.command()
@click.option(
    "--liberty", type=File, multiple=True, required=True, metavar="LIB",
    help="Liberty file, .lib or .lib.gz; several are one library.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with units in the key names.")
@click.option(
    "--block-scales/--no-block-scales", default=False, show_default=True,
    help="An engine with element formats and block scales, or for INT8 only.",
)  # fmt: skip
@functools.partial(array_options, cell="gates")
def area(config: "EngineConfig", *, liberty: tuple[Path, ...], as_json: bool, block_scales: bool) -> None:
    """Synthesise cells, blocks and the array, split and monolithic, on a standard-cell library."""
    from .report.area import Workers, area_report  # noqa: PLC0415
    from .report.liberty import LibraryError, open_library  # noqa: PLC0415
    from .report.tools import SynthesisError  # noqa: PLC0415

    if config.array.cell == "ecp5":
        raise BadInputError("cell must be one of gates, portable, textbook on standard cells, not 'ecp5'")
    if block_scales and not config.block_scales:
        raise BadInputError("--block-scales must be given with a configuration whose block_scales is true")
    engine = config if block_scales else config.plain()
    try:
        with working(f"{config.name}: synthesising"), open_library(*liberty) as library, Workers() as workers:
            values = area_report(engine, library, workers)
    except (LibraryError, SynthesisError) as error:
        raise BadInputError(str(error)) from error
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    from rich.console import Console  # noqa: PLC0415

    from .report.tables import show  # noqa: PLC0415

    show(values, Console())


latency_option = click.option(
    "--latency", type=click.IntRange(1, 2**31), default=DRAM_LATENCY, show_default=True, metavar="CYCLES", help="Of the memory."
)
group_option = click.option(
    "--group", "groups", multiple=True, metavar="NAME",
    help="Only prefill, decode, attention, experts or convolutions; may be given again.",
)  # fmt: skip
plot_option = click.option("--plot", type=File, callback=output_file, metavar="FILE.svg", help="Draw the results.")


def enough(_context: click.Context, option: click.Parameter, value: float | None) -> float | None:
    """Refuse a bandwidth that is not a finite number, or too small."""
    if value is not None and not LEAST_BANDWIDTH <= value < float("inf"):
        raise click.BadParameter(f"{option.opts[-1]} must be a finite number of at least {LEAST_BANDWIDTH}, not {value:g}")
    return value


bandwidth_option = click.option(
    "--bandwidth", type=float, callback=enough, metavar="BYTES",
    help="Of the memory, a cycle, reads and writes together; one beat of the bus if not given.",
)  # fmt: skip


@cli.command(context_settings={"ignore_unknown_options": True})  # so that -1 is a size
@click.argument("m", type=int)
@click.argument("k", type=int)
@click.argument("n", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with units in the key names.")
@bandwidth_option
@latency_option
@array_options
def model(
    config: "EngineConfig", m: int, k: int, n: int, *, as_json: bool, bandwidth: float | None, latency: int
) -> None:
    """Predict a product of INT8 matrices, M x K by K x N: cycles, utilisation, partition, and the bound."""
    from .suite.measure import predict_workload  # noqa: PLC0415

    try:
        prediction = predict_workload((m,), k, n, config, latency=latency, bandwidth=bandwidth)
    except ValueError as error:
        raise BadInputError(str(error)) from error
    show_values(f"{m} x {k} x {n} on {config.name}", prediction.as_dict(), as_json=as_json)


@cli.group(cls=Commands, no_args_is_help=False)
def bench() -> None:
    """Measure the array on the workload suite."""


@bench.command()
@click.option("--rtl/--model", default=True, show_default=True, help="Run what is short enough on the RTL, or nothing.")
@click.option(
    "--rtl-cycles", type=click.IntRange(min=1), default=5_000_000, show_default=True, metavar="CYCLES",
    help="Longest run on the RTL; what is longer is predicted only.",
)  # fmt: skip
@group_option
@bandwidth_option
@latency_option
@plot_option
@json_file_option
@array_options
def utilisation(
    config: "EngineConfig",
    *,
    rtl: bool,
    rtl_cycles: int,
    groups: tuple[str, ...],
    bandwidth: float | None,
    latency: int,
    plot: Path | None,
    json_path: Path | None,
) -> None:
    """Run shapes of public models on the array, split against monolithic."""
    from .suite.bench import bench as run_bench  # noqa: PLC0415
    from .suite.bench import report as report_of  # noqa: PLC0415
    from .suite.measure import MismatchError  # noqa: PLC0415
    from .suite.shapes import chosen  # noqa: PLC0415
    from .suite.tables import array_table, memory_table  # noqa: PLC0415

    try:
        workloads = chosen(groups)
        with steps(len(workloads)) as advance:
            rows = run_bench(
                config, workloads, latency=latency, bandwidth=bandwidth, rtl_cycles=rtl_cycles if rtl else 0, advance=advance
            )
    except MismatchError as error:
        raise click.ClickException(f"FAIL {error}") from error
    except ValueError as error:
        raise BadInputError(str(error)) from error
    values = report_of(rows, latency=latency, bandwidth=bandwidth)
    if json_path is not None:
        write_json(json_path, values)
    if plot is not None:
        from .suite.plot import plot_suite  # noqa: PLC0415

        plot_suite(values, plot)
    console = wide_console()
    console.print(memory_table(values).rich(f"With memory, {config.name}, latency {latency} cycles"))
    console.print(array_table(values).rich(f"The array alone, {config.name}; bytes per MAC"))
    runs, checked = sum(len(row.on) for row in rows), sum(len(row.checked) for row in rows)
    met = sum(row["split"]["reached"] >= row["goal"] for row in values["workloads"])
    equal = ", equal to numpy in every bit and to the model in every cycle" if checked else ""
    click.echo(f"bench utilisation: {met} of {len(rows)} workloads reach their goals; {checked} of {runs} runs on the RTL{equal}")


def numbers(text: str, option: click.Parameter, kind: "Callable[[str], Any]") -> list[Any]:
    """Read a list of numbers, separated by commas.

    Raises
    ------
    click.BadParameter
        If it is something else, or has a number twice.
    """
    try:
        values = [kind(word) for word in text.split(",")]
    except ValueError:
        values = []
    if not values or len(set(values)) < len(values):
        raise click.BadParameter(f"{option.opts[-1]} must be different numbers separated by commas, not {text!r}")
    return values


def list_option(name: str, default: str, kind: "Callable[[str], Any]", meaning: str) -> "Callable[..., Any]":
    """Give an option that is a list of numbers."""
    return click.option(
        f"--{name}", default=default, show_default=True, metavar="N,N", help=meaning,
        callback=lambda _context, option, text: numbers(text, option, kind),
    )  # fmt: skip


@cli.command()
@click.option("--config", "base", default="default", show_default=True, metavar="NAME|FILE.toml", help="All that is not varied.")
@list_option("slabs", "1,2,4,8", int, "Slabs.")
@list_option("rows", "8,32", int, "Rows of a slab.")
@list_option("columns", "32,128", int, "Columns.")
@list_option("dot", "4,8", int, "Products added in one cell.")
@list_option("load-rows", "1,4", int, "Stationary rows written per cycle and slab.")
@list_option("bandwidth", "16,64", float, "Bytes a cycle of the memory; the bus is as wide as that needs.")
@latency_option
@group_option
@click.option("--library", default="sky130hd", show_default=True, help="Cells whose measured areas the estimate is from.")
@click.option("--scheduler", metavar="ADDRESS", help="Of a running Dask scheduler; workers on this machine if not given.")
@click.option("--workers", type=click.IntRange(min=1), default=os.cpu_count(), show_default="processors", help="On this machine.")
@click.option(
    "--results", type=File, callback=output_file, default="explore.sqlite", show_default=True,
    help="SQLite file of results, which a later search goes on from.",
)  # fmt: skip
@plot_option
@json_file_option
def explore(
    *,
    base: str,
    bandwidth: list[float],
    latency: int,
    groups: tuple[str, ...],
    library: str,
    scheduler: str | None,
    workers: int,
    results: Path,
    plot: Path | None,
    json_path: Path | None,
    **sizes: list[int],
) -> None:
    """Try arrays of many sizes on the suite, and show those that no other one beats in utilisation, area and bandwidth."""
    from .report.liberty import LibraryError  # noqa: PLC0415
    from .suite.explore import ARRAY_SIZES, grid, search  # noqa: PLC0415
    from .suite.shapes import chosen  # noqa: PLC0415
    from .suite.tables import front_table  # noqa: PLC0415

    try:
        workloads = chosen(groups)
        points = grid(load_config(base), {name: sizes[name] for name in ARRAY_SIZES}, bandwidth)
        with steps(len(points) * len(workloads)) as advance:
            values = search(
                points, workloads, results, library=library, scheduler=scheduler, workers=workers, latency=latency,
                advance=lambda count: advance("", count),
            )  # fmt: skip
    except (ConfigError, LibraryError, ValueError) as error:
        raise BadInputError(str(error)) from error
    if json_path is not None:
        write_json(json_path, values)
    if plot is not None:
        from .suite.plot import plot_front  # noqa: PLC0415

        plot_front(values["points"], plot)
    best = sum(point["front"] for point in values["points"])
    wide_console().print(front_table(values).rich(f"Arrays that no other one beats, {library}"))
    click.echo(f"Area is {values['area']}.")
    click.echo(
        f"explore: {best} of {len(values['points'])} arrays are on the front, {len(values['left_out'])} left out; "
        f"{len(workloads)} workloads"
    )


def wide_console() -> "Console":
    """Give a console that does not break the lines of a wide table where there is no terminal."""
    from rich.console import Console  # noqa: PLC0415

    console = Console()
    if not console.is_terminal:
        console.width = 240
    return console


@contextlib.contextmanager
def steps(total: int) -> "Iterator[Callable[..., None]]":
    """Show how far long work is, on a terminal; gives a function that is told what is done next, and how much has been done."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)

        def advance(name: str, count: int = 1) -> None:
            progress.update(task, description=name, advance=count)

        yield advance


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Show that work goes on, on a terminal."""
    from rich.console import Console  # noqa: PLC0415

    console = Console(stderr=True)
    with console.status(what) if console.is_terminal else contextlib.nullcontext():
        yield


def write_array(path: Path, values: "NDArray[Any]") -> None:
    """Write a .npy file under exactly this name."""
    import numpy as np  # noqa: PLC0415

    with path.open("wb") as file:
        np.save(file, values)


def write_product(path: Path, product: "NDArray[Any] | Quantised", result: str | None, *, codes: bool) -> None:
    """Write a product under exactly this name: its numbers, or the codes and the scales of its format."""
    import numpy as np  # noqa: PLC0415

    from .compile.floats import RESULTS  # noqa: PLC0415
    from .numerics.quantise import Quantised  # noqa: PLC0415

    if codes:
        scaled = isinstance(product, Quantised)
        arrays: dict[str, Any] = {"codes": product.codes, "scales": product.scales} if scaled else {"codes": product}
        with path.open("wb") as file:
            np.savez(file, **arrays, format=np.array(result))
    elif isinstance(product, Quantised):
        write_array(path, product.dequantise().astype(np.float32))
    elif result is not None and product.dtype.kind == "u":
        write_array(path, RESULTS[result].decode(product).astype(np.float32))
    else:
        write_array(path, product)


def float_options(format: str | None, precision: str | None, result: str | None) -> dict[str, Any]:  # noqa: A002
    """Give the options of a product of floats; none for one of integers.

    Raises
    ------
    BadInputError
        If both are given, or there is no such format or precision, or a result's format without them.
    """
    from .compile.floats import ALL_RESULTS, parse_format  # noqa: PLC0415
    from .numerics.slices import PRECISIONS  # noqa: PLC0415

    if format is not None and precision is not None:
        raise BadInputError(f"--format {format} and --precision {precision} must not be given together")
    if result is not None and format is None and precision is None:
        raise BadInputError(f"--result {result} must be given with --format or --precision")
    if result is not None and result not in ALL_RESULTS:
        raise BadInputError(f"--result must be one of {', '.join(ALL_RESULTS)}, not {result!r}")
    rounded = {} if result is None else {"result": result}
    if precision is not None and precision in map(str, PRECISIONS):
        return {"precision": int(precision), **rounded}
    name = format if format is not None else precision
    if name is None:
        return {}
    try:
        parse_format(name)
    except ValueError as error:
        of_precision = f"precision must be {', '.join(map(str, PRECISIONS))} or a format, and a " if precision else ""
        raise BadInputError(of_precision + str(error)) from error
    return {"format": name, **rounded}


def read_array(path: Path) -> "NDArray[Any]":
    """Read a .npy file.

    Raises
    ------
    BadInputError
        If it cannot be read, or is not a .npy file of numbers.
    """
    import numpy as np  # noqa: PLC0415

    try:
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, SyntaxError, EOFError, MemoryError, TokenError) as error:  # numpy's, of a bad header
        raise BadInputError(f"{path} must be a .npy file of numbers: {error}") from error


def main() -> None:
    """Run the command."""
    from .errors import EngineError  # noqa: PLC0415

    try:
        status = cli.main(standalone_mode=False)
    except click.exceptions.Exit as exit_:
        status = exit_.exit_code
    except click.exceptions.Abort:
        status = say("interrupted", 130)
    except click.ClickException as error:
        status = say(error.format_message(), error.exit_code)
    except EngineError as error:
        status = say(f"the engine stopped at {error}", FAILED)
    except OSError as error:
        status = say(f"{error.filename or 'writing failed'}: {error.strerror}", BAD_INPUT)
    sys.exit(status)


def say(message: str, status: int) -> int:
    """Print one line on standard error; give the exit status."""
    click.echo(f"cleave: {' '.join(message.split())}", err=True)
    return status
