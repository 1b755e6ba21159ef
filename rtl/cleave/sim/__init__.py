"""The engine as a compiled model, driven from Python."""

from .build import BuildError
from .simulator import BASE, RunResult, SimulationError, SimulationTimeoutError, Simulator

__all__ = ["BASE", "BuildError", "RunResult", "SimulationError", "SimulationTimeoutError", "Simulator"]
