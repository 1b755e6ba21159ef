# Every target sets the environment up first; a second run changes nothing that is up to date.
#   make run                     the main job: the digits network on the simulated RTL
#   make test                    all tests;  make test PYTEST="-k seam -x"  passes options on
#   make lint                    ruff, pyright, and whether docs/isa.md is up to date
#   make bench-array bench-sim   utilisation of the array, speed of the simulator
#   make bench-utilisation       the workload suite, split against monolithic, into docs/results.md
#   make report-cells            area and delay on standard cells, into docs/area.md; with LIBERTY=FILE into out/, and with
#                                ONLY=numerics, cells, blocks or arrays just that section, the others as they were
#   make report-ecp5             clock and size of cells on an ECP5 FPGA, into docs/ecp5.md
#   make verify-model            the timing model against the RTL, on random programs
#   make verify-choice           the compiler's choice against all tilings of small shapes, by the timing model
#   make accuracy                errors of every number format, into docs/accuracy.md and docs/results.md
#   make numbers                 measures both and the main job, and writes README.md and docs/results.md
#   make verilog CONFIG=large    Verilog into out/
#   make mutate                  deliberate breaks of the design, and the tests that notice each
#   make docs train lock clean   docs/isa.md, the digits network, the lock files anew; removes all that is made
PYTHON ?=
PYTEST ?=
WORKERS ?= 2
CONFIG ?= default
BIN := .venv/bin
READY := .venv/complete

.DEFAULT_GOAL := help
.PHONY: help setup run test lint bench-sim bench-array bench-utilisation report-cells report-ecp5 accuracy mutate verify-model verify-choice numbers verilog docs train lock clean

help:
	@sed -n '1,/^[^#]/s/^# \{0,1\}//p' Makefile

setup: $(READY)

$(READY): requirements.txt requirements-softfloat.txt pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" scripts/setup.sh

run: $(READY)
	@$(BIN)/cleave run

test: $(READY)
	@$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST)

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/python scripts/isa_doc.py --check

bench-sim: $(READY)
	@$(BIN)/python scripts/bench_sim.py

bench-array: $(READY)
	@$(BIN)/python scripts/bench_array.py

bench-utilisation: $(READY)
	@mkdir -p out
	@$(BIN)/cleave bench utilisation --rtl-cycles 40000000 --json out/suite-default.json --plot docs/suite-default.svg
	@$(BIN)/cleave bench utilisation --config large --model --json out/suite-large.json --plot docs/suite-large.svg
	@$(BIN)/python scripts/suite_tables.py out/suite-default.json out/suite-large.json

report-cells: $(READY)
	@mkdir -p out
	@$(BIN)/python scripts/report_cells.py $(LIBERTY) $(if $(LIBERTY),--page out/area.md) $(if $(ONLY),--only $(ONLY))

accuracy: $(READY)
	@$(BIN)/python scripts/accuracy.py

report-ecp5: $(READY)
	@$(BIN)/python scripts/report_ecp5.py

mutate: $(READY)
	@$(BIN)/python scripts/mutate.py

verify-model: $(READY)
	@$(BIN)/python scripts/verify_model.py

verify-choice: $(READY)
	@$(BIN)/python scripts/verify_choice.py

numbers: $(READY)
	@mkdir -p out
	@$(BIN)/cleave run --json out/run.json
	@$(BIN)/python scripts/bench_array.py --json out/bench_array.json
	@$(BIN)/python scripts/bench_sim.py --json out/bench_sim.json
	@$(BIN)/python scripts/readme_numbers.py out/run.json out/bench_array.json out/bench_sim.json

verilog: $(READY)
	@$(BIN)/cleave verilog --config $(CONFIG) -o out

docs: $(READY)
	@$(BIN)/python scripts/isa_doc.py

train: $(READY)
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-train.txt
	@$(BIN)/python scripts/train_digits.py

lock:
	@scripts/lock.sh

clean:
	rm -rf .venv .venv-lock build out sim_build .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
