#!/usr/bin/env bash
# Opens the page of lesson 21 in Chromium and reads what its own checks say; then damages a copy, a
# weight and a control, to see the checks fail. Where the compiler is there, it also builds the
# page's program anew and compares what that computes.
#     tests/lessons/explorer.sh build/release/lessons/21_explorer
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$program" --quick --out "$work" >"$work/log" || { cat "$work/log"; exit 1; }
page=$work/21_explorer/explorer.html

# --dump-dom prints the page once it is loaded: its checks hold that up until they are done.
check() {
  timeout 180 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$work/profile" \
    --dump-dom "file://$1#test" 2>/dev/null | sed -n '/<pre id="checks">/,/<\/pre>/p' || true
}

must_pass() {
  local said
  said=$(check "$1")
  printf '%s\n' "$said" | sed -n '1p;/^FAIL/p'
  case $said in *'<pre id="checks">pass'*) ;; *) echo "$1 does not pass" >&2; exit 1 ;; esac
}

must_fail() {
  local said
  said=$(check "$1")
  printf '%s: ' "$2" && printf '%s\n' "$said" | grep '^FAIL'
  case $said in *'<pre id="checks">fail'*) ;; *) echo "$1 passes: $2" >&2; exit 1 ;; esac
}

must_pass "$page"

# One weight of the decoder, in the page only.
sed 's/const count = sizes.reduce.*/&\n  bytes[bytes.length - 1] ^= 1;/' "$page" >"$work/weight.html"
must_fail "$work/weight.html" "one weight is another"
sed 's/moveTo(page.z\[0\] + size \* step\[0\]/moveTo(page.z[0] - size * step[0]/' "$page" \
  >"$work/control.html"
must_fail "$work/control.html" "an arrow goes the wrong way"

if command -v clang++-16 >/dev/null && command -v node >/dev/null; then
  lessons/21_explorer/web/build.sh "$work/new.wasm"
  node lessons/21_explorer/web/check.mjs "$page" "$work/new.wasm" | tail -1
fi
