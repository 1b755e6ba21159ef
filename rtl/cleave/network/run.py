"""The main job: every held-out digit through the engine, each layer's result checked bit for bit.

The same layers then run on monolithic arrays of the same size, in batches down to one image, where splitting pays.
"""

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from ..api import Engine
from ..config import EngineConfig
from .digits import Digits, load
from .layers import Layer
from .report import show
from .result import Result, Work

BATCH = 64
"""Images in one batch of the main run."""

SMALL_BATCHES = (1, 8, 64)
"""Images in the batches that split and monolithic arrays are compared on."""


class MismatchError(AssertionError):
    """The engine's result differs from the integer reference; the message says where."""


def run_layer(engine: Engine, layer: Layer, x: NDArray[np.int8], work: Work) -> NDArray:
    """Run one layer on the engine, add its cost to `work`, and give its result.

    Raises
    ------
    MismatchError
        If any bit of the result differs from the integer reference.
    """
    if layer.records is None:
        result, stats = engine.matmul(x, layer.weights)
    else:
        result, stats = engine.matmul(x, layer.weights, scale=layer.records, relu=True)
    expected = layer(x)
    if (result.shape, result.dtype) != (expected.shape, expected.dtype):
        raise MismatchError(f"layer {work.layer} on {work.engine} is {result.dtype} {result.shape}, not {expected.shape}")
    wrong = np.argwhere(result != expected)
    if len(wrong):
        row, column = wrong[0]
        raise MismatchError(
            f"layer {work.layer} on {work.engine}: {len(wrong)} of {expected.size} values differ, first in row {row}, "
            f"column {column}: {result[row, column]}, not {expected[row, column]}"
        )
    work.add(stats)
    return result


def new_work(engine: Engine, name: str, layers: Iterable[Layer], m: int) -> list[Work]:
    """Give an empty account for every layer."""
    macs = engine.config.array.macs
    return [Work(name, index, m, *layer.shape, macs) for index, layer in enumerate(layers, start=1)]


def run_network(engine: Engine, digits: Digits, advance: Callable[[int], None]) -> Result:
    """Run every image through the engine, in batches of `BATCH`."""
    layers = new_work(engine, "this array", digits.layers, BATCH)
    logits = []
    seconds = 0.0
    checked = 0
    for start in range(0, len(digits.images), BATCH):
        x = digits.images[start : start + BATCH]
        for layer, work in zip(digits.layers, layers, strict=True):
            began = time.perf_counter()
            x = run_layer(engine, layer, x, work)
            seconds += time.perf_counter() - began
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
    return Result(engine.config, engine.backend, len(digits.images), right, checked, seconds, layers)


def compare(engines: dict[str, Engine], digits: Digits, advance: Callable[[int], None]) -> list[Work]:
    """Run small batches on every engine, with the same checks."""
    comparison = []
    for size in SMALL_BATCHES:
        images = digits.images[:size]
        for name, engine in engines.items():
            x = images
            for layer, work in zip(digits.layers, new_work(engine, name, digits.layers, len(images)), strict=True):
                x = run_layer(engine, layer, x, work)
                comparison.append(work)
            advance(len(images))
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
    backend: str = "rtl",
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
    digits = load().first(limit)
    configs = {"this array": config, **baselines(config)}
    engines = {name: Engine(each, backend=backend) for name, each in configs.items()}
    small = sum(min(size, len(digits.images)) for size in SMALL_BATCHES) * len(engines)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"{config.name}: building and running", total=len(digits.images) + small)

        def advance(images: int) -> None:
            progress.advance(task, images)

        result = run_network(engines["this array"], digits, advance)
        if len(engines) > 1:
            result.comparison = compare(engines, digits, advance)
    if json_path is not None:
        json_path.write_text(json.dumps(result.to_json(), indent=2) + "\n")
    show(result, console)
    return result
