"""Engines on the simulated RTL that the tests of a module share."""

from collections.abc import Iterator

import pytest

from cleave import Engine
from tb.floats.cases import CONFIGS


@pytest.fixture(scope="module", params=CONFIGS)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with Engine(request.param) as built:
        yield built


@pytest.fixture(scope="module")
def tiny() -> Iterator[Engine]:
    with Engine("tiny") as built:
        yield built
