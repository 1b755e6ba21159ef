#!/bin/sh
# Create .venv with exactly the packages of requirements.txt, and Cleave itself, editable.
# Ends with one line that says what is missing when the machine lacks a prerequisite.
# PYTHON names the interpreter to use; without it the first one of at least 3.11 is taken.
set -eu
cd "$(dirname "$0")/.."

missing() {
    echo "setup: $1" >&2
    exit 1
}

at_least_3_11() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

python=
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if at_least_3_11 "$candidate"; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || missing "Python 3.11 or newer is missing (tried ${PYTHON:-python3, python3.13, python3.12, python3.11}; set PYTHON=...)"
"$python" -c 'import venv, ensurepip' 2>/dev/null || missing "Python's venv module is missing (Debian and Ubuntu: apt install python3-venv)"
command -v "${CXX:-g++}" >/dev/null || command -v clang++ >/dev/null || missing "a C++ compiler is missing: g++ or clang++"
command -v perl >/dev/null || missing "perl is missing; Verilator's front end needs it"

[ -x .venv/bin/python ] && at_least_3_11 .venv/bin/python || "$python" -m venv --clear .venv
pip="env PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip --require-virtualenv install --quiet"
$pip --require-hashes --requirement requirements.txt
$pip --require-hashes --requirement requirements-softfloat.txt 2>/dev/null \
    || echo "setup: softfloat does not compile here (it needs Python's headers); the tests against it will be skipped" >&2
$pip --no-deps --no-build-isolation --no-index --editable .
touch .venv/complete
echo "setup: .venv is ready ($(.venv/bin/python --version))"
