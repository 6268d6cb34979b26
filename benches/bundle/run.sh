#!/bin/sh
# Runs libseed's bench programs on this machine, beside PyTorch where it is given. No Rust, no compiler.
#
#   SEED_LIBTORCH  the folder of a libtorch 2.11 (with lib/ in it); not set: the one inside Python's torch
#   PYTHON         the Python to use; not set: python3
#
# The options are those of compare.py: run.sh --help
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
fail() { echo "run.sh: $1" >&2; exit 1; }

command -v "$python" > /dev/null || fail "$python is not there; set PYTHON"
if [ -z "${SEED_LIBTORCH:-}" ]; then
    SEED_LIBTORCH=$("$python" -c 'import os, torch; print(os.path.dirname(torch.__file__))' 2> /dev/null) ||
        fail "$python has no torch; set SEED_LIBTORCH to the folder of a libtorch 2.11"
fi
[ -f "$SEED_LIBTORCH/libtorch_cpu.so" ] && SEED_LIBTORCH=$(dirname "$SEED_LIBTORCH")
[ -f "$SEED_LIBTORCH/lib/libtorch_cpu.so" ] || fail "no lib/libtorch_cpu.so in $SEED_LIBTORCH"

version=
[ -f "$SEED_LIBTORCH/build-version" ] && version=$(cat "$SEED_LIBTORCH/build-version")
[ -f "$SEED_LIBTORCH/version.py" ] && version=$(sed -n "s/^__version__ = '\(.*\)'.*/\1/p" "$SEED_LIBTORCH/version.py")
case $version in
    2.11.0 | 2.11.0+*) ;;
    '') echo "run.sh: the version of $SEED_LIBTORCH is not written there; libseed checks it when it starts" >&2 ;;
    *) fail "$SEED_LIBTORCH is libtorch $version, expected 2.11.0" ;;
esac

# For our programs only: Python's torch finds its own libraries. The loader asks this before any run path.
SEED_BUNDLE_PATH="$SEED_LIBTORCH/lib:$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export SEED_LIBTORCH SEED_BUNDLE_PATH
exec "$python" "$here/scripts/compare.py" "$@"
