"""The small library, open."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cleave.report.liberty import Library, open_library
from tb.report.mini import liberty


@pytest.fixture
def mini(tmp_path: Path) -> Iterator[Library]:
    """Give the library with adders and a clock gate."""
    path = tmp_path / "mini.lib"
    path.write_text(liberty())
    with open_library(path) as library:
        yield library
