"""The one description of a Cleave machine: checked once, and everything else derived from it.

Hardware, compiler, models and simulator all take an `EngineConfig` whole; no width, depth or latency is written twice.
"""

import dataclasses
import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from math import gcd
from pathlib import Path

OPERAND_BITS = 8
"""Width of a moving or stationary operand (INT8)."""

ACCUMULATOR_BITS = 32
"""Least width of an accumulator and a seam, which holds a raw result."""

SCALED_ACCUMULATOR_BITS = 48
"""Width of an accumulator of block-scaled products by default: it loses no more than FP32 does, as docs/numerics.md shows."""

ACCUMULATOR_BYTES = ACCUMULATOR_BITS // 8

MEMORY_LATENCY = 1
"""Cycles from a memory's read address to its data."""

DRAM_LATENCY = 32
"""Cycles of latency of the memory behind the bus, in simulation and prediction, unless told otherwise."""

DRAM_BYTES = 2**30
"""Its size, likewise."""

MAX_CONTRACTION = (2 ** (ACCUMULATOR_BITS - 1) - 1) // 2 ** (2 * OPERAND_BITS - 2)
"""Longest K whose sum of K products (-128) * (-128) still fits an accumulator."""

BLOCK = 32
"""Elements that share a scale in the MX formats."""

CELLS = ("portable", "gates", "ecp5", "textbook")
"""Kinds of cell: `*` and `+` for any tool, a tree of adders for an ASIC, the multipliers of an ECP5 FPGA, and what all of them
are measured against, one product and one addition of an accumulator's width."""

AXI_DATA_WIDTHS = (64, 128, 256, 512, 1024)
"""Bits of an AXI4 data bus."""

MAX_SLABS = 30
"""Slabs that an instruction's 32-bit unit masks can name beside LOAD and DRAIN."""


class ConfigError(ValueError):
    """A configuration breaks a rule; the message states the rule and the value."""


def require(condition: bool, rule: str, value: object) -> None:
    """Raise `ConfigError` with the rule and the offending value unless `condition` holds."""
    if not condition:
        raise ConfigError(f"{rule}, not {value}")


def bits_for(count: int) -> int:
    """Bits that number `count` things from 0; at least 1, so that every field has a signal."""
    return max(1, (count - 1).bit_length())


def _require_integers(config: object) -> None:
    for item in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, item.name)
        if item.type is int:
            require(isinstance(value, int) and not isinstance(value, bool), f"{item.name} must be an integer", repr(value))


@dataclass(frozen=True)
class ArrayConfig:
    """Shape of the systolic array.

    Parameters
    ----------
    slabs
        Identical slabs, stacked north to south; any run of adjacent slabs can be fused into one partition.
    rows
        MACs of a slab along the contraction (K).
    columns
        MACs of a slab along the result's columns (N).
    dot
        Products that one cell adds before its one carry-propagate add; a slab has `rows / dot` rows of cells.
    load_rows
        Stationary rows written per cycle and slab. A pass of M moving rows takes max(M, rows / load_rows) cycles.
    multiply_stages
        Extra pipeline registers between a cell's multipliers and its partial sum: latency, never throughput.
    cell
        Kind of cell, one of `CELLS`; all of them compute the same.
    stationary_bits
        Width of a stationary operand for which the cells are made: 8, or 4 for two *lanes* in each column of cells. A column
        then holds either one INT8 operand in each place, in two nibbles, or two of 4 bits, and gives twice the results.

    Raises
    ------
    ConfigError
        If a value breaks a rule; the message names both.
    """

    slabs: int = 4
    rows: int = 8
    columns: int = 16
    dot: int = 1
    load_rows: int = 1
    multiply_stages: int = 0
    cell: str = "portable"
    stationary_bits: int = OPERAND_BITS

    def __post_init__(self) -> None:
        _require_integers(self)
        require(1 <= self.slabs <= MAX_SLABS, f"slabs must be 1 to {MAX_SLABS}", self.slabs)
        require(2 <= self.rows <= 1024, "rows must be 2 to 1024", self.rows)
        require(1 <= self.columns <= 1024, "columns must be 1 to 1024", self.columns)
        require(self.dot in (1, 2, 4, 8, 16), "dot must be 1, 2, 4, 8 or 16", self.dot)
        require(self.rows % self.dot == 0, f"rows must be a multiple of dot ({self.dot})", self.rows)
        require(self.rows >= 2 * self.dot, f"rows must be at least twice dot ({self.dot})", self.rows)
        require(
            self.load_rows >= 1 and self.dot % self.load_rows == 0,
            f"load_rows must divide dot ({self.dot})",
            self.load_rows,
        )
        require(self.cell in CELLS, f"cell must be one of {', '.join(CELLS)}", repr(self.cell))
        require(self.stationary_bits in (4, 8), "stationary_bits must be 4 or 8", self.stationary_bits)
        least = 2 if self.cell == "ecp5" else 0  # the multiplier's own registers
        rule = f"multiply_stages must be {least} to 8 for {self.cell} cells"
        require(least <= self.multiply_stages <= 8, rule, self.multiply_stages)
        plain = {"dot": 1, "multiply_stages": 0, "stationary_bits": OPERAND_BITS}
        for name, value in plain.items() if self.cell == "textbook" else ():
            require(getattr(self, name) == value, f"{name} must be {value} for textbook cells", getattr(self, name))

    @property
    def macs(self) -> int:
        """Multiply-accumulates per cycle of the whole array."""
        return self.slabs * self.rows * self.columns * self.lanes

    @property
    def cells(self) -> int:
        """Rows of cells in a slab."""
        return self.rows // self.dot

    @property
    def load_cycles(self) -> int:
        """Cycles in which a slab's stationary tile is written: the shortest pass."""
        return self.rows // self.load_rows

    @property
    def head_latency(self) -> int:
        """Cycles that stationary operands wait at the head of their column: one for two lanes, which are decoded there."""
        return self.lanes - 1

    @property
    def lanes(self) -> int:
        """Stationary operands that share a place and are multiplied by the same moving operand, each for its own result."""
        return OPERAND_BITS // self.stationary_bits

    @property
    def lane_bits(self) -> int:
        """Width of a lane's signed operands: of two lanes from -15 to 15, a nibble with or without sign, or an E2M1 decoded."""
        return self.stationary_bits + (self.lanes > 1)

    @property
    def sum_bits(self) -> int:
        """Width of a lane's partial sum inside a slab: what `rows` products need, but an accumulator's in textbook cells."""
        if self.cell == "textbook":
            return ACCUMULATOR_BITS
        return OPERAND_BITS + self.stationary_bits + (self.rows - 1).bit_length()

    @property
    def product_bits(self) -> int:
        """Width of a slab's dot product of INT8 operands, which two lanes make together."""
        return self.sum_bits + OPERAND_BITS - self.stationary_bits

    @property
    def seam_latency(self) -> int:
        """Cycles from the first cell row's operands to their sum at the seam: cell rows, multipliers, and a join of two lanes."""
        return self.cells + self.multiply_stages + self.lanes - 1

    @property
    def result_latency(self) -> int:
        """Cycles from a moving row's read of its bank to the write of its sum in column 0's accumulators."""
        return self.seam_latency + MEMORY_LATENCY + 1

    @property
    def row_latency(self) -> int:
        """Cycles from a moving row's read of its bank to the write of its sum in the last column's accumulators."""
        return self.result_latency + self.columns - 1

    def monolithic(self, *, same_bandwidth: bool = False) -> "ArrayConfig":
        """Give the baseline: one slab with all the rows and the same number of MACs.

        With `same_bandwidth` it also gets the split array's total stationary port, as far as `dot` allows.
        """
        load_rows = self.load_rows * (gcd(self.slabs, self.dot // self.load_rows) if same_bandwidth else 1)
        return dataclasses.replace(self, slabs=1, rows=self.slabs * self.rows, load_rows=load_rows)


@dataclass(frozen=True)
class EngineConfig:
    """A whole engine: the array, its scratchpad banks and its bus.

    Parameters
    ----------
    array
        The systolic array.
    moving_depth
        Words in each slab's moving bank; a word is `rows` bytes.
    stationary_depth
        Words in each slab's stationary bank; a word is `load_rows * columns` bytes, a tile `load_cycles` words.
    accumulator_depth
        Rows of `columns` accumulators in each slab's accumulator bank; even, as the bank is interleaved in two.
    parameter_depth
        Words of the drain's parameter memory; a word is `drain_lanes` records of bias, multiplier and shift.
    axi_data_width
        Bits of the AXI4 data bus: 64, 128, 256, 512 or 1024.
    axi_address_width
        Bits of an AXI4 address, 32 to 48.
    max_burst
        Longest AXI4 burst, in beats.
    queue_depth
        Instructions that wait in front of each unit (LOAD, DRAIN, each slab).
    bank_columns
        Most columns that share one stationary memory; their bytes are skewed by registers, the memories by address.
    token_bits
        Width of the counters that hold the tokens between units.
    block_scales
        Element formats and block scales (MX), from memory to memory: elements are decoded by LOAD, each slab's sums shifted by
        their blocks' scales at the seam, and accumulators rounded to any format by DRAIN.
        Off, there is nothing of this, and INT8 only.
    accumulator_bits
        Width of an accumulator and a seam: 32, or with `block_scales` up to 64.
    """

    array: ArrayConfig = field(default_factory=ArrayConfig)
    moving_depth: int = 1024
    stationary_depth: int = 1024
    accumulator_depth: int = 256
    parameter_depth: int = 64
    axi_data_width: int = 128
    axi_address_width: int = 40
    max_burst: int = 16
    queue_depth: int = 4
    bank_columns: int = 4
    token_bits: int = 8
    block_scales: bool = True
    accumulator_bits: int = SCALED_ACCUMULATOR_BITS

    def __post_init__(self) -> None:
        _require_integers(self)
        array = self.array
        for name, least in [("moving_depth", 2), ("stationary_depth", self.tile_words), ("accumulator_depth", 2)]:
            value = getattr(self, name)
            require(least <= value <= 2**15, f"{name} must be {least} to {2**15}", value)
        require(self.accumulator_depth % 2 == 0, "accumulator_depth must be even", self.accumulator_depth)
        require(self.axi_data_width in AXI_DATA_WIDTHS, "axi_data_width must be 64, 128, 256, 512 or 1024", self.axi_data_width)
        require(32 <= self.axi_address_width <= 48, "axi_address_width must be 32 to 48", self.axi_address_width)
        require(1 <= self.max_burst <= 256, "max_burst must be 1 to 256", self.max_burst)
        require(
            self.max_burst * self.axi_bytes <= 4096,
            f"max_burst times the bus's {self.axi_bytes} bytes must be at most 4096",
            self.max_burst * self.axi_bytes,
        )
        require(2 <= self.queue_depth <= 64, "queue_depth must be 2 to 64", self.queue_depth)
        require(1 <= self.bank_columns <= 64, "bank_columns must be 1 to 64", self.bank_columns)
        require(2 <= self.token_bits <= 16, "token_bits must be 2 to 16", self.token_bits)
        widest = 64 if self.block_scales else ACCUMULATOR_BITS
        rule = f"accumulator_bits must be {ACCUMULATOR_BITS} to {widest}" + ("" if self.block_scales else " without block_scales")
        require(ACCUMULATOR_BITS <= self.accumulator_bits <= widest, rule, self.accumulator_bits)
        least = array.lanes * -(-array.columns // self.drain_lanes)
        require(least <= self.parameter_depth <= 2**15, f"parameter_depth must be {least} to {2**15}", self.parameter_depth)

    @property
    def axi_bytes(self) -> int:
        """Bytes of one bus beat."""
        return self.axi_data_width // 8

    @property
    def drain_lanes(self) -> int:
        """Accumulators that the drain handles per cycle: one bus beat of raw results, at most one row."""
        return min(self.axi_bytes // ACCUMULATOR_BYTES, self.array.columns)

    @property
    def block_beats(self) -> int:
        """Most beats of `drain_lanes` columns in a block of results: lanes divide a block, unless a row is one beat."""
        return -(-min(BLOCK, self.array.columns) // self.drain_lanes)

    @property
    def read_columns(self) -> int:
        """Columns read together by the drain: two cycles' worth, so that a read may wait one cycle for a pass."""
        return min(2 * self.drain_lanes, self.array.columns)

    @property
    def read_groups(self) -> int:
        """Reads of `read_columns` columns that make one row of a lane's accumulators."""
        return -(-self.array.columns // self.read_columns)

    @property
    def stationary_columns(self) -> int:
        """Columns that share one stationary memory: a tile's words must outlast the step from one to the next."""
        return min(self.bank_columns, self.array.load_cycles)

    @property
    def tile_words(self) -> int:
        """Most words of a stationary tile: its rows, and with `block_scales` each lane's columns' distances from their anchors."""
        return self.array.load_cycles + self.block_scales * self.array.lanes

    @property
    def exact_shift(self) -> int:
        """Shift that brings a dot product from the top of an accumulator to its bottom: sums are then those of integers."""
        return self.accumulator_bits - self.array.product_bits if self.block_scales else 0

    @property
    def pair_shift(self) -> int:
        """Bits by which a lane's own sum is shifted left to stand as high as one of INT8 operands."""
        return OPERAND_BITS - self.array.stationary_bits if self.block_scales else 0

    @property
    def distance_delay(self) -> int:
        """Cycles that a tile's distances wait for, lest they overtake at the seam the swap of the tile before."""
        return max(0, self.array.seam_latency + self.array.head_latency - self.array.load_cycles - 1) if self.block_scales else 0

    @property
    def shift_bits(self) -> int:
        """Width of a shift that may drop a whole accumulator."""
        return self.accumulator_bits.bit_length()

    @property
    def segments(self) -> int:
        """Moving words, for as many adjacent slabs, that LOAD writes in one cycle."""
        return max(1, min(self.array.slabs, self.axi_bytes // self.array.rows))

    @property
    def stationary_segments(self) -> int:
        """Stationary rows, for as many adjacent slabs, that LOAD writes in one cycle."""
        return max(1, min(self.array.slabs, self.axi_bytes // self.array.columns))

    @property
    def stationary_rows(self) -> int:
        """Stationary rows, of one word, that LOAD writes in one cycle if they follow each other in memory."""
        return max(1, min(self.array.load_rows, self.axi_bytes // self.array.columns))

    @property
    def scratchpad_bytes(self) -> dict[str, int]:
        """Bytes of all banks of each kind together."""
        array = self.array
        return {
            "moving": array.slabs * self.moving_depth * (array.rows + self.block_scales),
            "stationary": array.slabs * self.stationary_depth * array.load_rows * array.columns,
            "accumulator": array.slabs * self.accumulator_depth * array.lanes * array.columns * self.accumulator_bits // 8,
        }

    def plain(self) -> "EngineConfig":
        """Give the same engine for INT8 only, without element formats and block scales."""
        return dataclasses.replace(self, block_scales=False, accumulator_bits=ACCUMULATOR_BITS)

    @cached_property
    def name(self) -> str:
        """Short name of the shape, for file names and tables."""
        array = self.array
        lanes = f"w{array.stationary_bits}" if array.lanes > 1 else ""
        return f"{array.slabs}x{array.rows}x{array.columns}d{array.dot}l{array.load_rows}{lanes}"

    def monolithic(self, *, same_bandwidth: bool = False) -> "EngineConfig":
        """Give the baseline engine: a one-slab array of the same MACs, with the same bytes of scratchpad, accumulators included."""
        array = self.array.monolithic(same_bandwidth=same_bandwidth)
        stationary = self.stationary_depth * self.array.slabs * self.array.load_rows // array.load_rows
        return dataclasses.replace(
            self, array=array, stationary_depth=min(stationary, 2**15),
            accumulator_depth=min(self.accumulator_depth * self.array.slabs, 2**15),
        )  # fmt: skip


PRESETS: dict[str, EngineConfig] = {
    "tiny": EngineConfig(
        ArrayConfig(slabs=2, rows=4, columns=4, dot=2),
        moving_depth=64, stationary_depth=64, accumulator_depth=32, parameter_depth=8, axi_data_width=64,
    ),
    "odd": EngineConfig(
        ArrayConfig(slabs=3, rows=6, columns=10, dot=2),
        moving_depth=96, stationary_depth=96, accumulator_depth=48, parameter_depth=16,
    ),
    "default": EngineConfig(ArrayConfig(slabs=4, rows=8, columns=16, dot=4)),
    "w4a8": EngineConfig(ArrayConfig(slabs=4, rows=8, columns=16, dot=4, stationary_bits=4)),
    "medium": EngineConfig(
        ArrayConfig(slabs=4, rows=16, columns=64, dot=8), moving_depth=2048, accumulator_depth=1024, axi_data_width=512
    ),
    "large": EngineConfig(
        ArrayConfig(slabs=4, rows=32, columns=128, dot=8),
        moving_depth=4096, stationary_depth=2048, accumulator_depth=1024, axi_data_width=1024,
    ),
}
"""Configurations with a name; `large` is the 128 x 128 array, `w4a8` the default one with two lanes in each column."""


def load_config(name: str, **array_overrides: int | str | None) -> EngineConfig:
    """Find a preset, or read a TOML file, and replace the given array parameters.

    A TOML file holds `EngineConfig`'s parameters at the top and `ArrayConfig`'s in a table `[array]`; what it leaves
    out has the default value.

    Raises
    ------
    ConfigError
        If there is no such preset or file, a key is unknown, or a value breaks a rule.
    """
    if name in PRESETS:
        config = PRESETS[name]
    elif name.endswith(".toml"):
        config = _read_toml(Path(name))
    else:
        raise ConfigError(f"config must be one of {', '.join(PRESETS)} or a .toml file, not {name!r}")
    changes = {key: value for key, value in array_overrides.items() if value is not None}
    return dataclasses.replace(config, array=dataclasses.replace(config.array, **changes)) if changes else config


def _read_toml(path: Path) -> EngineConfig:
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"config file {path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # not TOML, not text, or a number of absurd length
        raise ConfigError(f"config file {path} is not TOML: {error}") from error
    array = table.pop("array", {})
    for keys, kind in [(array, ArrayConfig), (table, EngineConfig)]:
        require(isinstance(keys, dict), "[array] must be a table", keys)
        allowed = {item.name for item in dataclasses.fields(kind)} - {"array"}
        for key in keys:
            require(key in allowed, f"{path}: keys of {kind.__name__} are {', '.join(sorted(allowed))}", key)
    return EngineConfig(array=ArrayConfig(**array), **table)
