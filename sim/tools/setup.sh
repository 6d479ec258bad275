#!/bin/sh
# Puts the pinned FPGA tools (requirements.txt) into a Python environment; does nothing when they are there.
# usage: setup.sh [DIRECTORY]     default: .tools at the top of the workspace
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
dir=${1:-$here/../../.tools}
want=$here/requirements.txt
cmp -s "$want" "$dir/installed.txt" && exit 0

fail() {
    echo "setup.sh: $*" >&2
    exit 1
}
python=${PYTHON:-python3}
command -v "$python" >/dev/null 2>&1 || fail "python3 not found: install Python 3.11 or newer, or set PYTHON"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old: install Python 3.11 or newer, or set PYTHON to it"
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "this Python has no venv: install it (on Debian and Ubuntu: apt-get install python3-venv)"
"$python" -m venv --clear "$dir" || fail "could not create a Python environment in $dir"
"$dir/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --require-hashes --only-binary=:all: -r "$want" ||
    fail "could not install the tools: is the Python package index reachable?"
cp "$want" "$dir/installed.txt"
