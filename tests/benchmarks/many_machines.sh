#!/usr/bin/env bash
# Lesson 22's training by two processes of one thread beside one process of two threads, in turn on
# this machine: seconds per epoch, and how many times as fast two processes are.
set -uo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
rounds=3
program=$root/build/release/benchmarks/many_machines

(cd "$root" && cmake --preset release && cmake --build --preset release --target \
  benchmark_many_machines --parallel "$(nproc)") >/dev/null || exit 2

# The seconds of the best epoch of a run.
best_epoch() { "$@" | sed -n 's/^epoch [0-9]*: \([0-9.]*\) s.*/\1/p' | sort -n | head -1; }

ratios=()
for ((round = 1; round <= rounds; round++)); do
  one=$(GRADUS_NUM_THREADS=2 best_epoch "$program" 3)
  two=$(GRADUS_NUM_THREADS=1 best_epoch "$root/tests/many_machines/mpirun.sh" 2 "$program" 3)
  ratio=$(awk "BEGIN { printf \"%.3f\", $one / $two }")
  printf 'one process of two threads: %s s, two processes of one thread: %s s: %s times as fast\n' \
    "$one" "$two" "$ratio"
  ratios+=("$ratio")
done
printf 'median: %s times as fast\n' "$(printf '%s\n' "${ratios[@]}" | sort -n | sed -n 2p)"
