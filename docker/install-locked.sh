#!/bin/sh
# Install the locks of hashed requirements that lie in a folder.
# Usage: install-locked.sh PYTHON FOLDER [--only NAMES] [PIP OPTION...]
#
# NAMES is a file with the names of the packages to install of them, one a line.
#
# The locks name every dependency, so that none is looked for; "pip check" says what they forgot. Whether torch comes
# built for CPUs or for CUDA depends on the index. Both digests are known, but where one lock allows both, pip prefers
# PyPI's, whose digest stands in its index: so torch is fetched by its version first and held against its digests then.
set -eu
python=$1 folder=$2
shift 2
fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT

lock=$folder/requirements.lock
if [ "${1-}" = --only ]; then
    lock=$fetched/only.lock
    awk 'NR == FNR { names[$1]; next } /^[^ ]/ { wanted = substr($1, 1, index($1, "==") - 1) in names } wanted' \
        "$2" "$folder/requirements.lock" >"$lock"
    shift 2
fi

pip() {
    command=$1
    shift
    "$python" -m pip "$command" --quiet --disable-pip-version-check --no-deps "$@"
}

# One package comes as source only: what builds it has to be the locked setuptools, not the newest.
awk '/^[^ ]/ { wanted = /^(pip|setuptools)==/ } wanted' "$lock" >"$fetched/first.lock"
pip install --require-hashes --requirement "$fetched/first.lock" "$@"
pip install --require-hashes --no-build-isolation --requirement "$lock" "$@"
pip download --dest "$fetched" --only-binary :all: \
    "$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' "$folder/requirements-torch.lock")" "$@"
pip install --require-hashes --no-index --find-links "$fetched" --requirement "$folder/requirements-torch.lock" "$@"
if "$python" -c 'from importlib.metadata import requires; raise SystemExit("nvidia" not in str(requires("torch")))'; then
    pip install --require-hashes --requirement "$folder/requirements-cuda.lock" "$@"
fi
"$python" -m pip check
