"""Runs a cocotb bench on exported Verilog under Verilator."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import Verilator

from cleave.export import Design

WARNINGS = ["-Wno-fatal", "-Wno-lint"]


class _Ports(Verilator):
    """cocotb's runner, but only the top's ports can be seen: making all signals public costs minutes of compilation."""

    def _build_command(self) -> list[list[str]]:
        return [[word for word in command if word != "--public-flat-rw"] for command in super()._build_command()]


def _publish_ports(design: Design, verilog: str) -> str:
    """Write Verilator settings that make the top's ports public."""
    top = re.search(rf"^module {design.name}\(.*?^endmodule", verilog, re.MULTILINE | re.DOTALL)
    assert top is not None
    ports = re.findall(r"^  (?:input|output) (?:\[.*?\] )?(\w+);", top[0], re.MULTILINE)
    lines = [f'public_flat_rw -module "{design.name}" -var "{port}"' for port in ports]
    return "\n".join(["`verilator_config", *lines, ""])


def run_bench(design: Design, bench: str, folder: Path, **parameters: object) -> None:
    """Build `design` with its assertions, and run the cocotb tests of module `bench` on it; fail if any of them does.

    Parameters are handed to the bench as environment variables, in capitals.
    """
    source = folder / f"{design.name}.v"
    verilog = design.verilog(assertions=True)
    source.write_text(verilog)
    settings = folder / "ports.vlt"
    settings.write_text(_publish_ports(design, verilog))
    runner = _Ports()
    environment = {name.upper(): str(value) for name, value in parameters.items()}
    build = ["--assert", "--x-initial", "unique", "--x-assign", "unique", *WARNINGS]
    runner.build(
        sources=[settings, source, *design.models],
        hdl_toplevel=design.name,
        build_dir=folder,
        build_args=build,
        log_file=folder / "build.log",
    )
    try:
        results = runner.test(
            test_module=bench,
            hdl_toplevel=design.name,
            build_dir=folder,
            test_dir=folder,
            extra_env={**environment, "PYTHONPATH": os.pathsep.join(["rtl", "."])},
            plusargs=["+verilator+rand+reset+2"],
            log_file=folder / "run.log",
        )
    except (SystemExit, subprocess.CalledProcessError) as error:
        pytest.fail(f"{bench} did not run: {error}\n{_tail(folder / 'run.log')}")
    count, failed = get_results(results)
    assert count > 0, f"{bench} ran no test\n{_tail(folder / 'run.log')}"
    assert failed == 0, f"{bench}: {failed} of {count} tests failed\n{_tail(folder / 'run.log')}"


def _tail(log: Path, lines: int = 60) -> str:
    return "\n".join(log.read_text().splitlines()[-lines:])
