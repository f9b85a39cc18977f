#!/usr/bin/env bash
# Runs ./learn as a learner does, in a tree of its own: the real script and the real texts, but a
# cmake that builds nothing, beside programs that are there already.
#     test.sh SOURCE PROGRAMS WORK
set -uo pipefail
source=$1 programs=$2 work=$3

rm -rf "$work"
mkdir -p "$work"
cd "$work" || exit 1
work=$PWD
failures=0

fail() {
  printf 'FAILED: %s\n' "$*"
  failures=$((failures + 1))
}

# expect STATUS PATTERN COMMAND ...: what it prints must match the extended regular expression.
expect() {
  local status=$1 pattern=$2 got
  shift 2
  "$@" >said 2>&1
  got=$?
  [ $got -eq "$status" ] || fail "$* ends with $got, not $status: $(cat said)"
  grep -Eq -- "$pattern" said || fail "$* does not say '$pattern': $(cat said)"
}
expect_not() { ! grep -Eq -- "$1" said || fail "it says '$1': $(cat said)"; }

# A tree in which Gradus is built: new_tree NAME PROGRAMS
new_tree() {
  mkdir -p "$work/$1/build/release"
  cp "$source/learn" "$work/$1/learn"
  ln -s "$source/lessons" "$work/$1/lessons"
  ln -s "$2" "$work/$1/build/release/lessons"
  printf 'CMAKE_HOME_DIRECTORY:INTERNAL=%s\n' "$work/$1" >"$work/$1/build/release/CMakeCache.txt"
  touch "$work/$1/build/release/Makefile" "$work/$1/build/.set_up"
}

# Programs that stand in for the lessons: each does what LESSON_DOES says, in the shell.
mkdir fakes bin
for main in "$source"/lessons/[0-9][0-9]_*/main.cpp; do
  lesson=$(basename "$(dirname "$main")")
  # shellcheck disable=SC2016
  printf '#!/bin/bash\nname=%s\neval "$LESSON_DOES"\n' "$lesson" >"fakes/$lesson"
done
cat >bin/cmake <<'CMAKE'
#!/bin/bash
echo "cmake $*" >>"$CMAKE_LOG"
case $1 in
  --version) echo "cmake version 3.25.1" ;;
  --preset) mkdir -p build/release && touch build/release/Makefile && ln -s "$FAKES" build/release/lessons ;;
  --build) eval "${BUILD_DOES:-}" ;;
esac
CMAKE
printf '#!/bin/sh\nexit 0\n' >bin/apt-get  # nothing is installed here
cp bin/apt-get bin/sudo
chmod +x fakes/* bin/*
export PATH=$work/bin:$PATH CMAKE_LOG=$work/cmake.log FAKES=$work/fakes
unset CI DISPLAY WAYLAND_DISPLAY

# ---- Options of a lesson, alone, combined and repeated -----------------------------------------

new_tree real "$programs"
learn=real/learn
expect 0 '^  . 13_vae +VAE' $learn
expect 0 'usage: ./learn' $learn --help
expect 0 'usage: ./learn' $learn all --help
expect 0 '--resume' $learn 03 --help
for option in --quick --resume --show '--epochs 1' '--epochs=1' '--seed 5' '--seed=5' "--data $work"; do
  # shellcheck disable=SC2086
  expect 0 'results.json' $learn 03 --out out $option
  # shellcheck disable=SC2086
  expect 0 'results.json' $learn tape $option --out out --quick
done
expect 0 'In both/03_tape' $learn 3 --quick --epochs 1 --resume --show --seed 5 --data . --out both
expect 0 'In both/03_tape' $learn 3 --quick --quick --resume --resume --show --show --out=both
[ -e both/03_tape/results.json ] || fail "--out is not taken from where the user stands"
for option in '--epochs 1' '--seed 5' "--data $work" '--out other'; do
  # shellcheck disable=SC2086
  expect 2 "${option%% *}: takes one value, once" $learn 03 $option $option
done
expect 2 'there is no lesson' $learn 99
expect 2 'without a lesson' $learn --quick

# ---- Many lessons ------------------------------------------------------------------------------

new_tree tree "$work/fakes"
learn=tree/learn
for out in other tree/out; do  # of an earlier run
  mkdir -p $out/02_ppca
  echo '{"seconds": 999.5}' >$out/02_ppca/results.json
done
# shellcheck disable=SC2016
export LESSON_DOES='[ $name != 02_ppca ] || exit 2; [ $name != 03_tape ] || exit 1'
expect 1 '^02_ppca +[0-9]+\.[0-9] s   failed \(exit status 2\)$' $learn all --quick --out other
expect 1 '^03_tape +[0-9]+\.[0-9] s   some numbers are off$' $learn all --quick --out=other
expect 1 'Figures and numbers are in other\.$' $learn all --quick --out other
expect_not 999
expect 1 'Figures and numbers are in .*/tree/out\.$' $learn all --quick
expect_not 999

# ---- A lesson of many processes ----------------------------------------------------------------

# shellcheck disable=SC2016
printf '#!/bin/bash\necho "mpirun $*"\nexit "${MPIRUN_ENDS:-0}"\n' >bin/mpirun
printf '#!/bin/sh\necho "${PROCESSORS:-4}"\n' >bin/nproc
chmod +x bin/mpirun bin/nproc
export LESSON_DOES='echo alone'
expect 0 '^alone$' $learn 22 --quick # built without MPI
echo 'GRADUS_MPI:INTERNAL=TRUE' >>tree/build/release/CMakeCache.txt
expect 0 '^mpirun .*-np 4 .*/22_many_machines --quick$' $learn 22 --quick
expect_not '^alone'
MPIRUN_ENDS=137 expect 137 'a process died.* --resume|^--resume' $learn 22
MPIRUN_ENDS=1 expect 1 '^mpirun' $learn 22
expect_not died
PROCESSORS=1 expect 0 '^alone$' $learn 22
OMPI_COMM_WORLD_SIZE=3 expect 0 '^alone$' $learn 22
expect 0 '^alone$' $learn 13
rm bin/mpirun bin/nproc

export LESSON_DOES='exit 0'
mkdir locales
if localedef -i de_DE -f UTF-8 locales/de_DE.UTF-8 >/dev/null 2>&1; then
  expect 0 '^13_vae +[0-9]+\.[0-9] s   as expected$' \
    env LOCPATH="$work/locales" LC_ALL=de_DE.UTF-8 $learn all --quick
  expect_not 'printf|invalid'
else
  echo "skipped: no localedef here to make a German locale"
fi

# ---- The book, whose making is tested by tests/lessons/book.sh ---------------------------------

expect 2 'book takes one option, --out DIR' $learn book --quick
expect 2 'book takes one option, --out DIR' $learn book --out
expect 2 'book takes one option, --out DIR' $learn book --out=
expect 2 'book takes one option, --out DIR' $learn book --out a --out b
expect 0 'usage: ./learn' $learn book --help

# A Node.js that has no packages; it would say which script it was given.
# shellcheck disable=SC2016
printf '#!/bin/sh\n[ "$1" != -e ] || exit 1\necho "node $*"\n' >bin/node
chmod +x bin/node
expect 0 '^  node-markdown-it +reads the texts$' $learn book --out here
expect 0 '^\+ .*apt-get install .* node-markdown-it katex node-prismjs$' $learn book --out here
expect 0 '^node .*/lessons/book/build.mjs here$' $learn book --out here
expect 0 '^node .*/lessons/book/build.mjs here$' $learn book --out=here
expect 0 '^node .*/lessons/book/build.mjs .*/tree/out$' $learn book
mkdir bare
for tool in bash cat cut dirname env grep readlink sed; do ln -s "$(command -v $tool)" bare/$tool; done
PATH=$work/bare expect 3 '^  nodejs +runs what makes the book$' $learn book
PATH=$work/bare expect 3 'install them, by whatever means this machine has' $learn book
rm bin/node

# ---- Ctrl-C ------------------------------------------------------------------------------------

# interrupt COMMAND ...: presses Ctrl-C, which goes to all of a group, once something waits for it.
set -m
interrupt() {
  rm -f waiting
  "$@" >said 2>&1 &
  local group=$!
  until [ -e waiting ]; do sleep 0.05; done
  kill -INT -- -$group
  wait $group
  local status=$?
  [ $status -eq 130 ] || fail "$* ends with $status after Ctrl-C: $(cat said)"
  grep -q '^learn: interrupted$' said || fail "$* does not say that it was interrupted: $(cat said)"
}
wait_here="touch $work/waiting; exec sleep 100"
LESSON_DOES=$wait_here interrupt $learn 13
LESSON_DOES=$wait_here interrupt $learn all
LESSON_DOES="trap 'exit 130' INT; touch $work/waiting; sleep 100 & wait" interrupt $learn 13
BUILD_DOES=$wait_here interrupt $learn 13
set +m
LESSON_DOES='exit 130' expect 130 'learn: interrupted' $learn all

# ---- Output that cannot be written -------------------------------------------------------------

for arguments in '' --help 13 all; do
  # shellcheck disable=SC2086
  $learn $arguments >/dev/full 2>said
  status=$?
  [ $status -eq 2 ] || fail "learn $arguments on a full device ends with $status"
  grep -q 'cannot write to standard output' said || fail "learn $arguments: $(cat said)"
done

# ---- A checkout that was moved or copied -------------------------------------------------------

: >cmake.log
expect 0 13_vae $learn 13
! grep -q '^cmake --preset' cmake.log || fail "a build that is up to date is begun anew"
ln -s tree link
expect 0 13_vae link/learn 13
! grep -q '^cmake --preset' cmake.log || fail "a link counts as another place"

cp -a tree copy
mkdir -p copy/out/13_vae
touch copy/out/13_vae/results.json copy/build/release/old
mkdir away && mv tree away/moved
for place in copy away/moved; do
  : >cmake.log
  expect 0 "belongs to $work/tree, but this is $work/$place: building anew" $place/learn 13
  grep -q '^cmake --preset release' cmake.log || fail "$place is not built anew"
  [ -e copy/out/13_vae/results.json ] || fail "results are gone"
done
[ ! -e copy/build/release/old ] || fail "what was built for another place is still there"

[ $failures -eq 0 ] && echo "all as it should be"
exit $((failures > 0))
