#!/bin/sh
# Install the locks of hashed requirements that lie in a folder.
# Usage: install-locked.sh PYTHON FOLDER [PIP OPTION...]
#
# The locks name every dependency, so that none is looked for; "pip check" says what they forgot. Whether torch comes
# built for CPUs or for CUDA depends on the index. Both digests are known, but where one lock allows both, pip prefers
# PyPI's, whose digest stands in its index: so torch is fetched by its version first and held against its digests then.
set -eu
python=$1 folder=$2
shift 2
fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT

pip() {
    command=$1
    shift
    "$python" -m pip "$command" --quiet --disable-pip-version-check --no-deps "$@"
}

# One package comes as source only: what builds it has to be the locked setuptools, not the newest.
awk '/^[^ ]/ { wanted = /^(pip|setuptools)==/ } wanted' "$folder/requirements.lock" >"$fetched/first.lock"
pip install --require-hashes --requirement "$fetched/first.lock" "$@"
pip install --require-hashes --no-build-isolation --requirement "$folder/requirements.lock" "$@"
pip download --dest "$fetched" --only-binary :all: \
    "$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' "$folder/requirements-torch.lock")" "$@"
pip install --require-hashes --no-index --find-links "$fetched" --requirement "$folder/requirements-torch.lock" "$@"
if "$python" -c 'from importlib.metadata import requires; raise SystemExit("nvidia" not in str(requires("torch")))'; then
    pip install --require-hashes --requirement "$folder/requirements-cuda.lock" "$@"
fi
"$python" -m pip check
