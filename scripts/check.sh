#!/usr/bin/env bash
# One command is the truth: format, lint, types, layers, tests. `check.sh lint` or `check.sh tests` do a part.
set -euo pipefail
cd "$(dirname "$0")/.."
part="${1:-all}"
bin=.venv/bin

if [ "$part" = lint ] || [ "$part" = all ]; then
    "$bin/ruff" format --check .
    "$bin/ruff" check .
    "$bin/mypy"
    "$bin/lint-imports"
fi

if [ "$part" = tests ] || [ "$part" = all ]; then
    # The real-engine tests need three small models (about 200 MB), kept apart from the user's own.
    if [ -z "${HOMEBODY_TEST_WEIGHTS:-}" ]; then
        HOMEBODY_HOME="$PWD/.build/test-home" "$bin/homebody" models pull \
            smollm2-135m-instruct-q4_1 all-minilm-l6-v2-int8 whisper-tiny.en
        export HOMEBODY_TEST_WEIGHTS="$PWD/.build/test-home/models"
    fi
    "$bin/python" -m pytest -n "${HOMEBODY_TEST_WORKERS:-2}" --dist loadfile
fi
