"""What every test shares: a printed seed that replays a run, and hypothesis made deterministic in CI."""

import os
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("explore" if os.environ.get("CLEAVE_SEED") == "random" else "ci")

# CLEAVE_SEED=random explores, CLEAVE_SEED=<number> replays; xdist's workers inherit the resolved number.
SEED = os.environ.get("CLEAVE_SEED", "1")
if SEED == "random":
    SEED = os.environ["CLEAVE_SEED"] = str(random.SystemRandom().randrange(2**31))


def pytest_report_header() -> str:
    """Say how to replay this run."""
    return f"seed: CLEAVE_SEED={SEED}, hypothesis profile {settings.get_current_profile_name()}"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Give a seed that depends on CLEAVE_SEED and the test's name, and print it for a failure report."""
    value = int(SEED) ^ int.from_bytes(request.node.nodeid.encode(), "little") % (2**31 - 1)
    print(f"seed {value} from CLEAVE_SEED={SEED}")
    return value


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """Give a generator with the test's own seed."""
    return np.random.default_rng(seed)
