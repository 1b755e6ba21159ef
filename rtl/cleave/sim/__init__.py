"""The engine as a compiled model, driven from Python."""

from .build import BuildError
from .simulator import BASE, RunResult, SimulationError, SimulationTimeout, Simulator

__all__ = ["BASE", "BuildError", "RunResult", "SimulationError", "SimulationTimeout", "Simulator"]
