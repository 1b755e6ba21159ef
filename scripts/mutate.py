#!/usr/bin/env python3
"""Break the engine on purpose, one line at a time, and see that a test notices (`make mutate`).

Each of `mutations.MUTATIONS` is made in a copy of the sources, never in the checkout, and its tests run there, two
copies at a time. A break is caught if a test fails: not if its tests cannot be collected, set up or finished in time,
nor by Python's own errors, which would say that the break makes no sense. Before, the same tests must pass unbroken.

A complete run writes docs/mutations.md. Status 1 if a break survives.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "mutations.md"
SOURCES = ("rtl", "tb", "pyproject.toml")
JOBS = 2
TIMEOUT = 900
"""Seconds for the tests of one break."""

SENSELESS = ("SyntaxError", "NameError", "ImportError", "AttributeError", "TypeError")
"""Errors of a line that is not Amaranth or Python any more."""


@dataclass(frozen=True)
class Outcome:
    """How a selection of tests ended: whether all passed, which failed first, and with what words."""

    passed: bool
    test: str
    message: str
    seconds: float

    @property
    def caught(self) -> bool:
        """A test has failed, and for a reason."""
        return bool(self.test) and not self.message.startswith(SENSELESS)


def copy_sources(place: Path) -> None:
    """Copy what the tests need."""
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, place / name)


def run_tests(place: Path, tests: str) -> Outcome:
    """Run a selection of tests on the sources in `place`, with a cache of compiled models of their own."""
    report = place / "report.xml"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--timeout=300"]
    environment = {
        **os.environ, "PYTHONPATH": str(place / "rtl"), "PYTHONDONTWRITEBYTECODE": "1",
        "CLEAVE_CACHE": str(place / "cache"), "PYTEST_ADDOPTS": f"--basetemp={place / 'temporary'}",
    }  # fmt: skip
    begin = time.monotonic()
    try:
        result = subprocess.run(
            [*command, f"--junitxml={report}", *shlex.split(tests)], cwd=place, env=environment, timeout=TIMEOUT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Outcome(passed=False, test="", message=f"no end after {TIMEOUT} s", seconds=TIMEOUT)
    seconds = time.monotonic() - begin
    if result.returncode == 0:
        return Outcome(passed=True, test="", message="", seconds=seconds)
    cases = ET.parse(report).iter("testcase") if report.exists() else ()  # noqa: S314 - pytest wrote it
    for case in cases:
        failure = case.find("failure")
        if failure is not None:
            name = f"{case.get('classname')}.{case.get('name')}"
            return Outcome(passed=False, test=name, message=failure.get("message") or "", seconds=seconds)
    lines = [line for line in result.stdout.splitlines() if line.startswith("E ")] or result.stdout.splitlines()[-1:]
    message = lines[0].strip() if lines else f"status {result.returncode}"
    return Outcome(passed=False, test="", message=message, seconds=seconds)


def run_mutation(mutation: Mutation) -> Outcome:
    """Break a copy and run the tests."""
    with tempfile.TemporaryDirectory(prefix="cleave-mutate-") as name:
        place = Path(name)
        copy_sources(place)
        path = place / "rtl" / "cleave" / mutation.file
        path.write_text(path.read_text().replace(mutation.old, mutation.new))
        return run_tests(place, mutation.tests)


def unbroken(selections: Iterable[str]) -> list[str]:
    """Run the tests on an unbroken copy; give those that do not pass."""
    with tempfile.TemporaryDirectory(prefix="cleave-mutate-") as name:
        place = Path(name)
        copy_sources(place)
        return [tests for tests in selections if not run_tests(place, tests).passed]


def check(mutations: Iterable[Mutation]) -> None:
    """Stop unless each break can be made."""
    for mutation in mutations:
        count = (ROOT / "rtl" / "cleave" / mutation.file).read_text().count(mutation.old)
        if count != 1:
            sys.exit(f"{mutation.part}: {mutation.what}: must occur once, not {count} times: {mutation.old}")


def page(mutations: list[Mutation], outcomes: list[Outcome]) -> str:
    """Give the page of results."""
    caught = sum(outcome.caught for outcome in outcomes)
    rows = [
        f"| {mutation.part} | {mutation.what} | {f'`{short(outcome.test)}`' if outcome.caught else '**nothing**'} |"
        for mutation, outcome in zip(mutations, outcomes, strict=True)
    ]
    return "\n".join([
        "# Deliberate breaks",
        "",
        "Written by `make mutate`, which makes each of these breaks in a copy of the sources, one line of the package at a",
        "time, and runs tests on it; before, the same tests pass on the unbroken sources. The lines are in",
        "`scripts/mutations.py`.",
        "",
        f"{caught} of {len(outcomes)} are caught.",
        "",
        "| part | what was broken | caught by |",
        "|---|---|---|",
        *rows,
        "",
    ])


def short(test: str) -> str:
    """Give a test's module and name, without folders."""
    module, _, name = test.partition(".test_")[2].partition(".")
    return f"test_{module}: {name}"


def main() -> int:
    """Break, test, report."""
    parser = argparse.ArgumentParser(description="Break the engine on purpose and see that a test notices.")
    parser.add_argument("-k", metavar="TEXT", help="only breaks whose part or description has this in it")
    arguments = parser.parse_args()
    wanted = arguments.k or ""
    mutations = [mutation for mutation in MUTATIONS if wanted in f"{mutation.part} {mutation.what}"]
    check(mutations)
    begin = time.monotonic()
    selections = list(dict.fromkeys(mutation.tests for mutation in mutations))
    halves = [selections[job::JOBS] for job in range(JOBS)]
    with ThreadPoolExecutor(JOBS) as pool:
        for tests in [tests for failed in pool.map(unbroken, halves) for tests in failed]:
            sys.exit(f"these tests must pass before anything is broken: {tests}")
        print(f"all {len(selections)} selections of tests pass unbroken, {time.monotonic() - begin:.0f} s", flush=True)
        outcomes = []
        for mutation, outcome in zip(mutations, pool.map(run_mutation, mutations), strict=True):
            outcomes.append(outcome)
            verdict = "caught" if outcome.caught else "SURVIVED"
            told = outcome.test if outcome.caught else outcome.message or "all tests pass"
            number = f"[{len(outcomes)}/{len(mutations)}]"
            print(f"{number} {verdict} {mutation.part}: {mutation.what} ({outcome.seconds:.0f} s)\n    {told}", flush=True)
    survivors = [m.what for m, outcome in zip(mutations, outcomes, strict=True) if not outcome.caught]
    if not wanted:
        PAGE.write_text(page(mutations, outcomes))
    minutes = (time.monotonic() - begin) / 60
    print(
        f"mutate: {len(outcomes) - len(survivors)} of {len(outcomes)} breaks caught in {minutes:.0f} min"
        + (f"; survived: {'; '.join(survivors)}" if survivors else "")
    )
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
