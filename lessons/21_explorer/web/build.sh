#!/usr/bin/env bash
# Builds gradus.wasm beside this file's folder, and writes down which sources it was built from.
# Needs Debian's clang-16 lld-16 libc++-16-dev-wasm32 libclang-rt-16-dev-wasm32 (and libfmt-dev).
#
#     lessons/21_explorer/web/build.sh            all of it
#     lessons/21_explorer/web/build.sh FILE       the program to FILE only, to compare
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

lesson=lessons/21_explorer
work=build/wasm
mkdir -p "$work/include"
ln -sfn /usr/include/fmt "$work/include/fmt"
out=${1:-$lesson/gradus.wasm}

sources=(
  tensor/{elementwise,layout,linalg,map,matmul,random,reduce,shape,storage,tensor}.cpp
  autograd/{elementwise,layout,linalg,matmul,reduce,tape}.cpp
  "$lesson"/web/{interface,parallel,exceptions}.cpp
)
flags=(
  --target=wasm32-wasi --sysroot=/usr -std=c++20 -O2 -msimd128 -fexceptions
  -fno-math-errno -fno-trapping-math -ffp-contract=off -DFMT_HEADER_ONLY
  -nostdinc++ -I "$lesson/web/stand_in"
  -isystem /usr/lib/llvm-16/include/wasm32-wasi/c++/v1 -I. -isystem "$work/include" -MMD
)
compiler=(clang++-16)
command -v ccache >/dev/null && compiler=(ccache clang++-16)

objects=()
commands=()
for source in "${sources[@]}"; do
  object=$work/${source//\//_}.o
  objects+=("$object")
  commands+=("${compiler[*]} ${flags[*]} -c $source -o $object")
done
printf '%s\n' "${commands[@]}" | xargs -P "$(nproc)" -d '\n' -I{} sh -c '{}'

clang++-16 --target=wasm32-wasi --sysroot=/usr -mexec-model=reactor -fuse-ld=lld \
  -L /usr/lib/llvm-16/lib/wasm32-wasi -Wl,--strip-all -Wl,--gc-sections -Wl,-z,stack-size=1048576 \
  "${objects[@]}" -o "$out"
chmod 644 "$out"  # no program that a shell could run

[ $# -eq 0 ] || exit 0
# The project's own files among those that the compiler read.
sed 's/\\$//' "${objects[@]/%.o/.d}" | tr ' ' '\n' | grep -E '^(\./)?(tensor|autograd|nn|lessons)/' |
  sed 's#^\./##' | LC_ALL=C sort -u | xargs sha256sum >"$lesson/gradus.wasm.sources"
sha256sum "$lesson/web/build.sh" "$lesson/gradus.wasm" >>"$lesson/gradus.wasm.sources"
