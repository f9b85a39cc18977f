#!/usr/bin/env bash
# Looks for bytes that break a loader: tests/fuzz/run.sh [SECONDS], 60 in all by default.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${1:-60}
harnesses=(idx safetensors checkpoint)
build=build/fuzz/tests/fuzz
each=$((seconds / ${#harnesses[@]}))
[ "$each" -ge 1 ] || { echo "run.sh: takes a number of seconds, at least 3" >&2; exit 2; }
command -v clang++ >/dev/null ||
  { echo "run.sh: needs clang++, which has libFuzzer: sudo apt-get install clang" >&2; exit 3; }

cmake --preset fuzz
cmake --build --preset fuzz --parallel "$(nproc)" --target "${harnesses[@]/#/fuzz_}" \
  "${harnesses[@]/#/replay_}"
for harness in "${harnesses[@]}"; do
  found=$build/found/$harness/
  mkdir -p "$found"
  "$build/replay_$harness" --write "$found"
  echo "+ $build/fuzz_$harness, for $each s"
  # What the lessons' programs print is not wanted: 1 closes the standard output. A file that breaks
  # the loader is written to $build as crash-... or timeout-...: try it with fuzz_$harness FILE.
  "$build/fuzz_$harness" "$found" tests/fuzz/corpus/"$harness" -max_total_time="$each" \
    -close_fd_mask=1 -timeout=10 -max_len=16384 -print_final_stats=1 \
    -artifact_prefix="$build/"
done
