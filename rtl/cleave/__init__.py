"""Cleave: a splittable systolic matrix engine in Amaranth, with its compiler, models and simulator."""

from .api import Engine, Stats
from .config import ArrayConfig, ConfigError, EngineConfig
from .errors import EngineError

__all__ = ["Engine", "Stats", "ArrayConfig", "EngineConfig", "ConfigError", "EngineError"]
