#!/usr/bin/env bash
# The main job of `make run`: weights, the example library, then homebody itself.
# Without a terminal it does the same headless: three questions, answers with their sources.
set -euo pipefail
cd "$(dirname "$0")/.."
homebody=.venv/bin/homebody

"$homebody" models pull --for chat,embed
"$homebody" index examples/library
if [ -t 0 ] && [ -t 1 ]; then
    exec "$homebody"
fi
while IFS= read -r question; do
    printf '\n> %s\n\n' "$question"
    "$homebody" ask "$question" </dev/null
done <examples/questions.txt
