#!/usr/bin/env bash
# Gradus beside PyTorch, in turn on this machine: seconds per epoch of the same model, at each of
# PyTorch's settings, and the ratio to its best.
set -uo pipefail

usage() {
  cat <<'TEXT'
usage: compare.sh [MODEL]

  vae   the reference VAE: vae_epoch beside vae_pytorch.py (the default)
  08    lesson 08's convolutional autoencoder: lesson_epoch beside
        tests/references/convolutional_autoencoder.py
  09    lesson 09's sequence autoencoder: lesson_epoch beside
        tests/references/sequence_autoencoder.py

Runs both in turn, three times at each of PyTorch's settings: 1 and 2 threads, OpenBLAS on pthreads
and on OpenMP, its kernels with and without AVX-512. Takes some twelve minutes a model. Installs what
is missing of PyTorch and both OpenBLAS from Debian or Ubuntu packages.
TEXT
}

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
root=$(cd "$here/../.." && pwd)
rounds=3
most_seconds=300 # for one run: threads that wait by spinning may never get on beside other programs

say() { printf '%s\n' "$@"; }
die() { printf 'compare.sh: %s\n' "$1" >&2; exit 2; }

# ---- What has to be there ----------------------------------------------------------------------

set_up() {
  local package missing=() sudo=()
  for package in python3-torch python3-numpy libopenblas0-pthread libopenblas0-openmp \
    dataset-fashion-mnist libbenchmark-dev; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] ||
      missing+=("$package")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    say "Installing what is missing: ${missing[*]}"
    say "(where a package brings a BLAS, update-alternatives may make it the machine's default)"
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    export DEBIAN_FRONTEND=noninteractive
    "${sudo[@]}" apt-get update -qq || say "apt-get update failed; trying anyway"
    "${sudo[@]}" apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null ||
      die "the packages could not be installed; see above"
  fi
  [ -e "$root/build/.set_up" ] || "$root/learn" 13 --help || die "Gradus could not be built; see above"
  (cd "$root" && cmake --preset release && cmake --build --preset release --target \
    "benchmark_$program" --parallel "$(nproc)") >/dev/null || die "the build failed; see above"
}

# ---- One run -----------------------------------------------------------------------------------

# The seconds of the best epoch in the output of a program, or nothing when it did not finish.
best_epoch() {
  local output
  output=$(timeout -k 10 "$most_seconds" "$@" 2>"$errors") || return
  sed -n 's/^epoch [0-9]*: \([0-9.]*\) s.*/\1/p' <<<"$output" | sort -n | head -1
}

run_gradus() { best_epoch "$root/build/release/benchmarks/$program" "${ours_options[@]}"; }

# BLAS, THREADS, KERNELS; Debian's own Python, which finds Debian's PyTorch.
run_pytorch() {
  best_epoch env LD_LIBRARY_PATH="$(folder_of "$1")" OMP_NUM_THREADS="$2" OPENBLAS_CORETYPE="$3" \
    /usr/bin/python3 "$peer" "${peer_options[@]}"
}

# Where a variant of OpenBLAS is.
folder_of() { dirname "$(dpkg -L "libopenblas0-$1" | grep '/libopenblas\.so\.0$')"; }

# ---- Several -----------------------------------------------------------------------------------

# Of the numbers, one a line: "MEDIAN (LEAST to MOST)"; of none: "did not finish".
spread() {
  sort -n | awk 'NF { x[++n] = $1 }
    END {
      if (!n) print "did not finish"
      else printf "%.3f (%.3f to %.3f)\n", (x[int((n + 1) / 2)] + x[int(n / 2) + 1]) / 2, x[1], x[n]
    }'
}

[ $# -le 1 ] || { usage >&2; exit 2; }
case ${1:-vae} in
  vae) program=vae_epoch epochs=3 peer=$here/vae_pytorch.py ours_options=(3) peer_options=(3) ;;
  08) peer=$here/../references/convolutional_autoencoder.py ;;
  09) peer=$here/../references/sequence_autoencoder.py ;;
  --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac
if [ "${1:-vae}" != vae ]; then
  program=lesson_epoch epochs=1 ours_options=("$1" 1) peer_options=(train --epochs 1)
fi
command -v apt-get >/dev/null || die "the packages of Debian or Ubuntu are needed; here is no apt-get"
set_up
results=$(mktemp -d) || die "no temporary directory"
errors=$results/errors
trap 'rm -rf "$results"' EXIT

kernels=(Haswell)
grep -qw avx512f /proc/cpuinfo && kernels=(SkylakeX Haswell)
settings=()
for blas in pthread openmp; do
  for threads in 1 2; do
    for kernel in "${kernels[@]}"; do settings+=("$blas $threads $kernel"); done
  done
done

unfinished=0
say "$program beside $(basename "$peer"), seconds of the best of $epochs epochs:"
for ((round = 1; round <= rounds; ++round)); do
  for setting in "${settings[@]}"; do
    # shellcheck disable=SC2086
    ours=$(run_gradus) && theirs=$(run_pytorch $setting)
    [ -n "$ours" ] || die "$program did not finish: $(tail -1 "$errors")"
    [ -n "$theirs" ] || ((++unfinished))
    printf '  round %d  %-20s  Gradus %s  PyTorch %s\n' "$round" "$setting" "$ours" \
      "${theirs:-did not finish $(tail -1 "$errors")}"
    file=$results/${setting// /_}
    printf '%s\n' "$ours" >>"$file.ours"
    printf '%s\n' "$theirs" >>"$file.theirs"
    [ -z "$theirs" ] || awk -v a="$ours" -v b="$theirs" 'BEGIN { print a / b }' >>"$file.ratio"
  done
done

say "" "Median (least to most) of $rounds rounds; Gradus's own are those in turn with that setting."
printf '%-10s%-9s%-10s  %-26s%-26s%s\n' OpenBLAS threads kernels "PyTorch, s/epoch" \
  "Gradus, s/epoch" "Gradus / PyTorch"
best=
for setting in "${settings[@]}"; do
  file=$results/${setting// /_}
  theirs=$(spread <"$file.theirs")
  ratio=
  [ "$theirs" = "did not finish" ] || ratio=$(spread <"$file.ratio")
  # shellcheck disable=SC2086
  printf '%-10s%-9s%-10s  %-26s%-26s%s\n' $setting "$theirs" "$(spread <"$file.ours")" "$ratio"
  [ -z "$ratio" ] || best+="$theirs / $setting / $ratio"$'\n'
done
[ -n "$best" ] || die "PyTorch finished at no setting"
first=$(printf '%s' "$best" | sort -n | head -1)
say "" "At PyTorch's best ($(cut -d/ -f2 <<<"$first" | xargs)):" \
  "Gradus / PyTorch = $(cut -d/ -f3 <<<"$first" | xargs)"
[ $unfinished -eq 0 ] || say "" "$unfinished of PyTorch's runs did not finish in $most_seconds s:" \
  "its best may be among them. Run this again when nothing else runs."
