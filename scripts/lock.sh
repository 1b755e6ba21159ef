#!/bin/sh
# Write requirements.txt (what `make setup` installs), requirements-softfloat.txt (what it installs where that compiles) and
# requirements-train.txt (what scripts/train_digits.py needs besides), with the hashes of PyPI's files only: the machine's own
# pip configuration is left out.
set -eu
cd "$(dirname "$0")/.."

unset PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS
export PIP_CONFIG_FILE=/dev/null CUSTOM_COMPILE_COMMAND="make lock"
[ -x .venv-lock/bin/pip-compile ] || python3 -m venv --clear .venv-lock
.venv-lock/bin/pip install --quiet "pip-tools>=7.5"

compile() {
    .venv-lock/bin/pip-compile --quiet --strip-extras --generate-hashes --allow-unsafe \
        --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options "$@" pyproject.toml
}
compile --build-deps-for editable --extra test --extra fpga --extra lint --output-file requirements.txt
compile --extra softfloat --constraint requirements.txt --output-file requirements-softfloat.txt
compile --extra train --constraint requirements.txt --output-file requirements-train.txt
echo "lock: requirements.txt, requirements-softfloat.txt and requirements-train.txt are written"
