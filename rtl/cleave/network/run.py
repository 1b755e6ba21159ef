"""The main job: every held-out digit through the engine, each layer's result checked bit for bit.

The same layers then run in batches down to one image, where splitting pays, beside monolithic arrays of the same size.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from ..api import Backend, Engine
from ..config import EngineConfig
from ..files import write_json
from .digits import Digits, load
from .layers import Layer
from .report import show
from .resident import resident_cycles
from .result import Result, Work

BATCH = 64
"""Images in one batch of the main run."""

SMALL_BATCHES = (1, 8, 64)
"""Images in the batches that split and monolithic arrays are compared on."""

REPORT_WIDTH = 120
"""Columns of the report where there is no terminal to ask."""


class MismatchError(AssertionError):
    """The engine's result differs from the integer reference; the message says where."""


def run_layer(engine: Engine, layer: Layer, x: NDArray[np.int8], work: Work) -> NDArray:
    """Run one layer on the engine, add its cost to `work`, and give its result.

    Raises
    ------
    MismatchError
        If any bit of the result differs from the integer reference.
    """
    began = time.perf_counter()
    result, stats = engine.matmul(x, layer.weights, scale=layer.records, relu=layer.records is not None)
    seconds = time.perf_counter() - began
    expected = layer(x)
    if (result.shape, result.dtype) != (expected.shape, expected.dtype):
        raise MismatchError(f"layer {work.layer}: {result.dtype} {result.shape}, not {expected.dtype} {expected.shape}")
    wrong = np.argwhere(result != expected)
    if len(wrong):
        row, column = wrong[0]
        raise MismatchError(
            f"layer {work.layer} on {work.engine}: {len(wrong)} of {expected.size} values differ, first in row {row}, "
            f"column {column}: {result[row, column]}, not {expected[row, column]}"
        )
    work.add(stats, seconds)
    return result


def new_work(engine: Engine, name: str, layers: Iterable[Layer], m: int) -> list[Work]:
    """Give an empty account for every layer."""
    macs = engine.config.array.macs
    return [Work(name, index, m, *layer.shape, macs) for index, layer in enumerate(layers, start=1)]


def run_network(engine: Engine, digits: Digits, advance: Callable[[int], None]) -> Result:
    """Run every image through the engine, in batches of `BATCH`."""
    layers = new_work(engine, "this array", digits.layers, len(digits.images))
    logits = []
    checked = 0
    for start in range(0, len(digits.images), BATCH):
        x = digits.images[start : start + BATCH]
        for layer, work in zip(digits.layers, layers, strict=True):
            x = run_layer(engine, layer, x, work)
            checked += x.size
        logits.append(x)
        advance(len(x))
    answers = {"engine": np.concatenate(logits)}
    for name, network in [("integer reference", digits.layers), ("float network", digits.float_layers)]:
        x = digits.images if name == "integer reference" else digits.images.astype(np.float32)
        for layer in network:
            x = layer(x)
        answers[name] = x
    right = {name: int((answer.argmax(axis=1) == digits.labels).sum()) for name, answer in answers.items()}
    return Result(engine.config, engine.backend, BATCH, len(digits.images), right, checked, layers)


def compare(
    engines: dict[str, Engine], digits: Digits, sizes: Iterable[int], advance: Callable[[int], None]
) -> list[Work]:
    """Run the first images in batches of the given sizes on every engine, with the same checks."""
    comparison = []
    for size in sizes:
        for name, engine in engines.items():
            x = digits.images[:size]
            for layer, work in zip(digits.layers, new_work(engine, name, digits.layers, size), strict=True):
                x = run_layer(engine, layer, x, work)
                work.resident_cycles = resident_cycles(engine, work.m, work.k, work.n, work.partition)
                comparison.append(work)
            advance(size)
    return comparison


def baselines(config: EngineConfig) -> dict[str, EngineConfig]:
    """Give the engines to compare with: none for an array that is monolithic itself, and no two alike."""
    same_port, same_bandwidth = config.monolithic(), config.monolithic(same_bandwidth=True)
    if same_port == config:
        return {}
    if same_bandwidth == same_port:
        return {"monolithic": same_port}
    return {"monolithic, same port": same_port, "monolithic, same bandwidth": same_bandwidth}


def run_digits(
    config: EngineConfig,
    *,
    backend: Backend = "rtl",
    limit: int | None = None,
    json_path: Path | None = None,
    console: Console | None = None,
) -> Result:
    """Recognise the held-out digits on the engine, compare it with monolithic arrays, and print what came out.

    Parameters
    ----------
    config
        The engine.
    backend
        As for `Engine`.
    limit
        Images to run, from the first; all of them without it.
    json_path
        File that the result is written to as well.
    console
        Where to print; the progress bar appears on a terminal only.

    Raises
    ------
    MismatchError
        If any bit of any layer's result differs from the integer reference.
    """
    console = console or Console()
    if not console.is_terminal:
        console.width = REPORT_WIDTH
    digits = load().first(limit)
    configs = {"this array": config, **baselines(config)} if backend == "rtl" else {"this array": config}
    sizes = sorted({min(size, len(digits.images)) for size in SMALL_BATCHES}) if len(configs) > 1 else []
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(console=console, transient=True, disable=not console.is_terminal))
        build = progress.add_task("compiling the simulators", total=len(configs))
        images = progress.add_task("running the images", total=len(digits.images) + sum(sizes) * len(configs))
        engines = {}
        for name, each in configs.items():
            engines[name] = stack.enter_context(Engine(each, backend=backend))
            progress.advance(build)

        def advance(count: int) -> None:
            progress.advance(images, count)

        try:
            result = run_network(engines["this array"], digits, advance)
            result.comparison = compare(engines, digits, sizes, advance)
        except MismatchError as error:
            console.print(f"[bold red]FAIL[/] {error}")
            raise
    if json_path is not None:
        write_json(json_path, result.to_json())
    show(result, console)
    return result
