#!/usr/bin/env bash
# Write the lock files anew from pyproject.toml. For maintainers; users install from the locks.
set -euo pipefail
cd "$(dirname "$0")/.."
UV="${UV:-uv}"
compile() { "$UV" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate "$@"; }
# Constraints come first: what runs is the same version in both environments.
echo "setuptools>=77" | compile pyproject.toml - -o requirements.lock
echo "setuptools>=77" | compile pyproject.toml - --extra dev -c requirements.lock -o requirements-dev.lock
printf 'scikit-build-core[pyproject]>=0.9.2\ncmake>=3.21\nninja>=1.11\n' | compile - -o requirements-build.lock
