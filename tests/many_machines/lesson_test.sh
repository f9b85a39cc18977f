#!/usr/bin/env bash
# Lesson 22 by several processes: the same numbers by one, two and three; processes that are not of
# one run are refused; after one was killed, or Ctrl-C, any number of processes goes on, and as many
# as before come to the same bits.
#     lesson_test.sh PROGRAM WORK
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=$1 work=$2
rm -rf "$work"
mkdir -p "$work"
cd "$work" || exit 1
export TMPDIR=$work
failures=0

fail() {
  printf 'FAILED: %s\n' "$*"
  failures=$((failures + 1))
}

# of PROCESSES DIRECTORY OPTION ...
of() {
  local processes=$1 out=$2
  shift 2
  "$here/mpirun.sh" "$processes" "$program" --quick --epochs 1 --out "$out" "$@"
}

# The -ELBOs of a run, one a line.
losses() {
  sed -n '/"name": "test_negative_elbo/{n;s/.*: \([-0-9.e+]*\),/\1/p}' "$1/22_many_machines/results.json"
}

# expect_same DIRECTORY DIRECTORY: each -ELBO to a thousandth of itself, and there are some. One that
# flew apart, at the end, is left out.
expect_same() {
  paste <(losses "$1") <(losses "$2") | head -n -1 | awk '
    { d = $1 - $2; if (d < 0) d = -d; if (NF != 2 || d > 1e-3 * $1) bad = 1; n++ }
    END { exit bad || n < 9 }' || fail "$1 and $2 have other numbers: $(losses "$1" | xargs) and $(losses "$2" | xargs)"
}
weights() { sha256sum <"$1/22_many_machines/vae.safetensors"; }

# ---- The same by any number --------------------------------------------------------------------

"$program" --quick --epochs 1 --out one >said 2>&1 || fail "alone: $(cat said)"
for processes in 2 3; do
  of $processes by_$processes >said 2>&1 || fail "$processes processes: $(cat said)"
  grep -q "^$processes processes" said || fail "it does not say that it is $processes processes"
  [ "$(grep -c '^Lesson 22' said)" = 1 ] || fail "more than one process prints: $(cat said)"
  expect_same one by_$processes
done

# ---- Not of one run ----------------------------------------------------------------------------

# refused PATTERN PROGRAM OPTION ...: beside rank 0 with the usual program and options.
refused() {
  local pattern=$1
  shift
  "$here/mpirun.sh" 1 "$program" --quick --epochs 1 --out refused : -np 1 "$@" --quick --epochs 1 \
    --out refused >said 2>&1
  local status=$?
  [ $status -eq 2 ] || fail "rank 1 as $* ends with $status: $(cat said)"
  grep -Eq "$pattern" said || fail "rank 1 as $*: it does not say '$pattern': $(cat said)"
  ! grep -q 'Training' said || fail "rank 1 as $*: training begins"
}
cp "$program" other_build
printf ' ' >>other_build
refused 'rank 1: seed is 5, but 0 on rank 0' "$program" --seed 5
refused 'rank 1: build is ' "$work/other_build"
mkdir data
cp "$here/../../lessons/data/"*.gz data
refused 'rank 1: data is ' "$program" --data data
of 2 refused --nonsense >said 2>&1
[ "$(grep -c 'error: ' said)" = 1 ] || fail "a wrong option is not said once: $(cat said)"

# ---- A process that dies -----------------------------------------------------------------------

# wait_for WHAT COMMAND ...: until it succeeds.
wait_for() {
  local i what=$1
  shift
  for ((i = 0; i < 1500; i++)); do
    "$@" && return
    sleep 0.02
  done
  fail "not in 30 s: $what"
}

# wait_for_file DIRECTORY FILE: until a run has written it.
wait_for_file() { wait_for "$1 has $2" test -e "$1/22_many_machines/$2"; }

# kill_one MPIRUN: one of its processes.
kill_one() { kill -KILL "$(cat /proc/"$1"/task/*/children | xargs -n 1 | tail -1)"; }

# in_background OPTION ...: two processes, which hear of Ctrl-C; `run` is their mpirun.
in_background() {
  set -m # or a process in the background would not hear of it
  "$here/mpirun.sh" 2 "$program" --quick "$@" >said 2>&1 &
  run=$!
  set +m
}

# The first training of a lesson, of eight epochs, until its weights are there.
first_training() {
  in_background --epochs 8 --out "$@"
  wait_for_file "$1" vae.safetensors
  kill -INT $run
  wait $run
}

first_training whole
in_background --epochs 8 --out parted
wait_for 'epoch 1 is done' grep -q 'epoch  1:' said
kill_one $run
wait $run
[ ! -e parted/22_many_machines/vae.safetensors ] || fail "the kill came after the training"
first_training parted --resume
grep -Eq 'epochs done: [1-7]$' said || fail "it does not go on in the middle: $(cat said)"
[ "$(weights parted)" = "$(weights whole)" ] || fail "other weights than without the kill"

in_background --epochs 1 --out killed
wait_for_file killed checkpoint_batch_128_rate_3.safetensors
start=$SECONDS
kill_one $run
wait $run
status=$?
[ $status -ne 0 ] || fail "a run of which a process was killed ends with 0"
[ $((SECONDS - start)) -le 10 ] || fail "it takes $((SECONDS - start)) s to end"
grep -q 'exited on signal 9' said || fail "it does not say what happened: $(cat said)"
cp -a killed killed_3
of 2 killed --resume >said 2>&1 || fail "resumed: $(cat said)"
grep -q 'going on from' said || fail "it begins anew"
expect_same by_2 killed
of 3 killed_3 --resume >said 2>&1 || fail "resumed by 3: $(cat said)"
expect_same by_2 killed_3

# ---- Ctrl-C ------------------------------------------------------------------------------------

in_background --epochs 1 --out stopped
wait_for_file stopped checkpoint_batch_128_rate_3.safetensors
start=$SECONDS
kill -INT $run
wait $run
status=$?
[ $status -ne 0 ] || fail "an interrupted run ends with 0"
[ $((SECONDS - start)) -le 15 ] || fail "it takes $((SECONDS - start)) s to stop"
[ "$(grep -c '^Stopping here' said)" = 1 ] || fail "it does not say once that it stops: $(cat said)"
grep -q 'To go on' said || fail "it does not say how to go on: $(cat said)"
of 3 stopped --resume >said 2>&1 || fail "resumed after Ctrl-C: $(cat said)"
expect_same by_2 stopped

left=$(find "$work" -maxdepth 1 -name 'gradus-22-*' -size +100k | wc -l)
[ "$left" -eq 0 ] || fail "directories are left over"
[ $failures -eq 0 ] && echo "all as it should be"
exit $((failures > 0))
