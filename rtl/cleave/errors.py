"""Errors of a running engine, the same from the RTL and from the models."""

from .engine.isa import Error


class EngineError(RuntimeError):
    """The engine stopped with an error.

    Attributes
    ----------
    code
        Value of the ERROR register.
    index
        Number of the failing instruction in its program, from 0.
    """

    def __init__(self, code: Error, index: int, message: str = "") -> None:
        self.code = Error(code)
        self.index = index
        super().__init__(f"instruction {index}: {self.code.name}" + (f": {message}" if message else ""))
