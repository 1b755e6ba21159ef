"""The Python interface: an engine that multiplies matrices, on the simulated RTL or on the bit-exact model."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .compile.choose import Memory
from .compile.floats import ALL_RESULTS, NUMPY_DTYPES, ROUNDINGS, SCALE_RULES, block_result, named, prepare
from .compile.gemm import CompiledGemm, compile_gemm
from .compile.problem import Problem, Scaling, dimensions, part_dimensions, part_rows
from .compile.scaled import ScaledGemm
from .config import DRAM_BYTES, ArrayConfig, EngineConfig, load_config
from .engine.isa import INSTRUCTION_BYTES, Counter
from .errors import EngineError
from .model.machine import Machine
from .numerics.formats import ELEMENTS, INT4, PAIRS, Format, Operand
from .numerics.quantise import Quantised
from .numerics.requantise import BIAS_BITS, RECORD, scale_to_fixed

Backend = Literal["rtl", "model"]

INT4_DTYPE = "int4"
"""Name of the type that ml_dtypes adds to numpy."""

STALLS = {
    "empty": Counter.STALL_EMPTY,
    "load": Counter.STALL_LOAD,
    "drain": Counter.STALL_DRAIN,
    "partition": Counter.STALL_PARTITION,
    "stationary": Counter.STALL_STATIONARY,
    "accumulator": Counter.STALL_ACCUMULATOR,
}
"""Names of the causes in `Stats.stall_cycles`; `Counter` says what each one means."""


@dataclass(frozen=True)
class Stats:
    """What one program cost, from the hardware's counters; times are None on a backend without timing.

    Attributes
    ----------
    macs
        Multiply-accumulates per cycle of the whole array.
    useful_macs
        Multiply-accumulates of the problem, without padding: M * K * N, for each pair of slices if there are some.
    partition
        Slabs fused into one partition; None for a program that was not compiled here.
    cycles
        Clock cycles from start to done, memory included.
    array_cycles
        Clock cycles from the first pass's start to the last result's write.
    streaming
        Slab-cycles in which a moving row entered a slab.
    stall_cycles
        Slab-cycles in which none did, by cause; with `streaming` they sum to slabs * cycles.
    error_bound
        What a result of `matmul_float` with 16 or 24 bits is off by at most.
    """

    macs: int
    useful_macs: int
    partition: int | None = None
    cycles: int | None = None
    array_cycles: int | None = None
    streaming: int | None = None
    stall_cycles: dict[str, int] | None = None
    error_bound: float | None = None

    @property
    def macs_per_cycle(self) -> float | None:
        """Useful multiply-accumulates per clock cycle."""
        return self.useful_macs / self.cycles if self.cycles else None

    @property
    def utilisation(self) -> float | None:
        """Useful MACs over (MACs of the array x cycles), 0 to 1."""
        return self.useful_macs / (self.macs * self.cycles) if self.cycles else None

    @property
    def array_utilisation(self) -> float | None:
        """Useful MACs over (MACs of the array x array_cycles), 0 to 1."""
        return self.useful_macs / (self.macs * self.array_cycles) if self.array_cycles else None

    def as_dict(self) -> dict[str, Any]:
        """Give everything, derived values included, for JSON."""
        derived = ("macs_per_cycle", "utilisation", "array_utilisation")
        return dataclasses.asdict(self) | {name: getattr(self, name) for name in derived}


class _Runner(Protocol):
    """What runs a program: the memory window's bytes, and a run that gives the counters it has."""

    memory: NDArray[np.uint8]

    def run(self, offset: int, length: int) -> dict[Counter, int]: ...

    def close(self) -> None: ...


class _Model:
    """The bit-exact model, which counts useful MACs and no cycles."""

    def __init__(self, config: EngineConfig, *, memory_bytes: int = DRAM_BYTES) -> None:
        self.memory = np.zeros(memory_bytes, np.uint8)  # taken from the system only as it is written
        self._machine = Machine(config, self.memory)

    def run(self, offset: int, length: int) -> dict[Counter, int]:
        self._machine.run(offset, length)
        return {Counter.USEFUL_MACS: self._machine.useful_macs}

    def close(self) -> None:
        """Nothing is held."""


class _Rtl:
    """The compiled RTL."""

    def __init__(self, config: EngineConfig, **options: Any) -> None:  # noqa: ANN401  the simulator names them
        from .sim import Simulator  # noqa: PLC0415  a C++ build stands behind it

        self._simulator = Simulator(config, **options)
        self.memory = self._simulator.memory

    def run(self, offset: int, length: int) -> dict[Counter, int]:
        try:
            return self._simulator.run(offset, length).counters
        except EngineError:
            self._simulator.soft_reset()  # ready for the next program, as the model is
            raise

    def close(self) -> None:
        self._simulator.close()


class Engine:
    """A Cleave engine.

    Parameters
    ----------
    config
        The engine, the array alone (everything else as by default), or a preset's name or TOML file.
    backend
        "rtl": the hardware, simulated cycle by cycle. "model": the same bits from numpy, without timing.
    options
        For "rtl" those of `cleave.sim.Simulator`; for "model" `memory_bytes`.

    Raises
    ------
    ConfigError
        If the configuration breaks a rule.
    ValueError
        If there is no such backend.
    """

    def __init__(
        self,
        config: EngineConfig | ArrayConfig | str = "default",
        *,
        backend: Backend = "rtl",
        **options: Any,  # noqa: ANN401  the backend names them
    ) -> None:
        if isinstance(config, str):
            config = load_config(config)
        elif isinstance(config, ArrayConfig):
            config = EngineConfig(array=config)
        runners = {"rtl": _Rtl, "model": _Model}
        if backend not in runners:
            raise ValueError(f"backend must be one of {', '.join(runners)}, not {backend!r}")
        self.config = config
        self.backend = backend
        timing = {name: options[name] for name in ("latency", "bandwidth") if name in options}
        self._timing = Memory(**timing)
        self._runner: _Runner = runners[backend](config, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Release what the backend holds."""
        self._runner.close()

    @property
    def memory(self) -> NDArray[np.uint8]:
        """Bytes of the memory window, for `run`."""
        return self._runner.memory

    def run(self, offset: int, length: int, *, partition: int | None = None) -> Stats:
        """Run the program of `length` instructions at byte `offset` of the memory window.

        `partition` only goes into the statistics.

        Raises
        ------
        EngineError
            If the engine stops with an error.
        """
        counters = self._runner.run(offset, length)
        timed = Counter.CYCLES in counters
        return Stats(
            macs=self.config.array.macs,
            useful_macs=counters[Counter.USEFUL_MACS],
            partition=partition,
            cycles=counters.get(Counter.CYCLES),
            array_cycles=counters.get(Counter.ARRAY_CYCLES),
            streaming=counters.get(Counter.STREAMING),
            stall_cycles={name: counters[counter] for name, counter in STALLS.items()} if timed else None,
        )

    def matmul(
        self,
        a: NDArray[np.int8],
        b: NDArray[np.int8],
        *,
        parts: Sequence[int] | None = None,
        partition: int | None = None,
        bias: ArrayLike | None = None,
        scale: ArrayLike | None = None,
        relu: bool = False,
    ) -> tuple[NDArray[np.int32] | NDArray[np.int8], Stats]:
        """Multiply `a` [M, K] by `b` [K, N], or by a matrix for each part of its rows.

        Parameters
        ----------
        a, b
            INT8 matrices, or INT4 ones as ml_dtypes has them, which fill the places of columns of two lanes twofold in `b`.
        parts
            Of a batch or a ragged group, as heads of attention or experts: so many rows of `a` each are multiplied by a matrix of
            their own in `b` [part, K, N]. They add up to M; a part may have none.
        partition
            Slabs to fuse into one partition; chosen by the timing model if not given. The product does not depend on it.
        bias, scale
            With `scale`, the result is int8: round((product + bias) * scale) to nearest even, saturated. `scale` is
            one positive number, or one per column, and becomes the nearest with a 16-bit multiplier; `bias` is int32,
            one per column. An array of `RECORD`, one per column, as `scale` gives the drain's exact parameters, bias
            included.
        relu
            Negative results become 0; with `scale`.

        Returns
        -------
        tuple
            int32[M, N], or int8[M, N] if requantised; and what it cost.

        Raises
        ------
        TypeError, ValueError
            If an argument breaks a rule; the message states the rule and the value.
        EngineError
            If the engine stops with an error.
        """
        _check_type("a", a)
        _check_type("b", b)
        parts = None if parts is None else part_rows(parts)
        m, k, n = dimensions(a, b) if parts is None else part_dimensions(a, b, parts)
        pairs = self._pairs(INT4) if b.dtype.name == INT4_DTYPE else 0
        a, b = a.astype(np.int8, copy=False), b.astype(np.int8, copy=False)
        _check_options(partition, relu=relu)
        records = _records(n, bias, scale)
        if relu and records is None:
            raise ValueError("relu must be given with scale: an int32 result is left as it is")
        if parts is not None and records is not None:
            records = np.tile(records, len(parts))
        problem = Problem(m, k, n, records is not None, relu, pairs=pairs, parts=parts or ())
        gemm, stats = self._multiply(problem, partition, a, b, records)
        return gemm.result(self.memory), stats

    def matmul_float(
        self,
        a: ArrayLike,
        b: ArrayLike,
        *,
        format: str | None = None,  # noqa: A002  the word that users know
        precision: int | None = None,
        result: str = "fp32",
        rounding: str = "nearest_even",
        saturate: bool = False,
        scale_rule: str = "floor",
        partition: int | None = None,
        relu: bool = False,
        seed: int = 0,
    ) -> tuple[Any, Stats]:
        """Multiply float `a` [M, K] by `b` [K, N] in a block-scaled format, or in slices of 8 bits.

        Products and sums are exact but for what `numerics.accumulate` says is dropped, and rounded once.

        Parameters
        ----------
        a, b
            Matrices of numbers that float64 holds. Infinities and NaNs make a block NaN, and so every result that it has part in.
        format
            What both are quantised to along K, or "MOVING:STATIONARY": int8, int4, mxint8 (the default), mxfp6, mxfp4.
        precision
            16 or 24 bits in place of a format: INT8 slices of numbers under one exponent per row of `a` and column of `b`.
        result
            Format of the result: fp32, bf16, fp16, e4m3, e5m2, int8, int4, e2m1, e2m3; or mxint8, mxfp6, mxfp4 for elements with a
            shared scale for each 32 columns, or for each tile of an array that has fewer.
        rounding
            nearest_even, toward_zero, nearest_away or stochastic.
        saturate
            Overflow gives the largest number instead of infinity or NaN.
        scale_rule
            floor or up, of the operands and of a result in blocks: see `numerics.quantise`.
        partition
            As for `matmul`; the result does not depend on it.
        relu
            Negative results become 0.
        seed
            Of stochastic rounding.

        Returns
        -------
        tuple
            The product, and what it cost; float32 or float16 for fp32 and fp16, codes in uint16 or uint8 for other formats, and
            in blocks a `Quantised` along its columns, with `codes`, `scales` and `dequantise()`.

        Raises
        ------
        TypeError, ValueError
            If an argument breaks a rule; the message states the rule and the value.
        EngineError
            If the engine stops with an error.
        """
        _check_options(partition, relu=relu, saturate=saturate)
        scaled, bound = prepare(
            a, b, self.config, format=format, precision=precision, rule=scale_rule, seed=seed
        )  # fmt: skip
        m, k, n = dimensions(scaled.moving, scaled.stationary)
        wanted, mode = named(result, "result", ALL_RESULTS), named(rounding, "rounding", ROUNDINGS)
        operand = block_result(wanted, self.config, n) if isinstance(wanted, Operand) else None
        target = wanted.element if isinstance(wanted, Operand) else wanted
        scaling = Scaling(
            scaled.elements, scaled.row_scales is not None, scaled.shift, scaled.widths, target, mode,
            saturate=bool(saturate) and operand is None,
            block_rule=named(scale_rule, "scale_rule", SCALE_RULES) if operand is not None else None,
        )  # fmt: skip
        pairs = self._pairs(ELEMENTS[scaled.elements[1]])
        problem = Problem(m, k, n, relu=relu, scaling=scaling, pairs=pairs)
        gemm, stats = self._multiply(problem, partition, scaled.moving, scaled.stationary, scaled.columns, scaled)
        if operand is not None:
            return Quantised(operand, *gemm.layout.unpack_blocks(self.memory), axis=1), stats
        codes = gemm.result(self.memory)
        product = codes.view(NUMPY_DTYPES[target]) if target in NUMPY_DTYPES else codes
        return product, dataclasses.replace(stats, error_bound=bound(product) if bound else None)

    def _pairs(self, element: Format) -> int:
        """Give the number of a stationary element's format, if the array takes two of them in a byte, else 0."""
        return PAIRS.index(element) if self.config.array.lanes > 1 and element in PAIRS else 0

    def _multiply(
        self,
        problem: Problem,
        partition: int | None,
        a: NDArray,
        b: NDArray,
        records: NDArray[np.void] | None,
        scaled: ScaledGemm | None = None,
    ) -> tuple[CompiledGemm, Stats]:
        """Compile and run a product, whose result is in the window then."""
        gemm = compile_gemm(problem, self.config, partition=partition, memory=self._timing, window=len(self.memory))
        gemm.place(self.memory, a, b, records, scaled)
        stats = self.run(gemm.start, len(gemm.program) // INSTRUCTION_BYTES, partition=gemm.partition)
        return gemm, stats


def _check_type(name: str, value: object) -> None:
    if not isinstance(value, np.ndarray) or value.dtype.name not in ("int8", INT4_DTYPE):
        kind = f"{value.dtype} array" if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"{name} must be an int8 or int4 array, not {kind}")


def _check_options(partition: object, **switches: object) -> None:
    if partition is not None and (isinstance(partition, bool) or not isinstance(partition, int | np.integer)):
        raise TypeError(f"partition must be a number of slabs, not {partition!r}")
    for name, switch in switches.items():
        if not isinstance(switch, bool | np.bool_):
            raise TypeError(f"{name} must be True or False, not {switch!r}")


def _records(n: int, bias: ArrayLike | None, scale: ArrayLike | None) -> NDArray[np.void] | None:
    """Give the drain's record of each column; None for an int32 result."""
    if scale is None:
        if bias is not None:
            raise ValueError("bias must be given with scale: it is added where results become int8")
        return None
    if isinstance(scale, np.ndarray) and scale.dtype == RECORD:
        if bias is not None or scale.shape != (n,):
            raise ValueError(
                f"scale must have {n} records, one per column, and no bias beside it, not shape {scale.shape}"
            )
        return scale
    scales = np.asarray(scale, np.float64)
    if scales.shape not in ((), (n,)):
        raise ValueError(f"scale must be one number or {n}, one per column, not shape {scales.shape}")
    records = np.zeros(n, RECORD)
    fixed = [scale_to_fixed(float(value)) for value in np.broadcast_to(scales, n)]
    records["multiplier"], records["shift"] = np.transpose(fixed)
    if bias is not None:
        biases = np.asarray(bias)
        if not np.issubdtype(biases.dtype, np.integer):
            raise TypeError(f"bias must be integers, not {biases.dtype}")
        if biases.shape != (n,):
            raise ValueError(f"bias must have {n} values, one per column, not shape {biases.shape}")
        bound = 2 ** (BIAS_BITS - 1)
        if not (biases.min() >= -bound and biases.max() < bound):
            raise ValueError(f"bias must be {-bound} to {bound - 1}, not {biases.min()} to {biases.max()}")
        records["bias"] = biases
    return records
