#!/usr/bin/env bash
# Opens the page of lesson 21 in Chromium and reads what its own checks say; in copies a weight or a
# control is broken, to see the checks fail. Where the compiler is there, it also builds the page's
# program anew and compares what that computes.
#     tests/lessons/explorer.sh build/release/lessons/21_explorer
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$program" --quick --out "$work" >"$work/log" || { cat "$work/log"; exit 1; }
page=$work/21_explorer/explorer.html
mkdir "$work/broken"
node tests/lessons/explorer_mutants.mjs "$page" "$work/broken"

# Writes what the checks of NAME.html say to NAME.said. --dump-dom prints the page once it is
# loaded: its checks hold that up until they are done.
check() {
  timeout 180 chromium --headless --no-sandbox --disable-gpu --user-data-dir="${1%.html}.profile" \
    --dump-dom "file://$1#test" 2>/dev/null |
    sed -n 's/.*<pre id="checks"[^>]*>/<pre>/; /^<pre>/,/<\/pre>/p' >"${1%.html}.said" || true
}
export -f check
printf '%s\n' "$page" "$work"/broken/*.html | xargs -P "$(nproc)" -I{} bash -c 'check {}'

status=0
sed -n '1s/<pre>//p; /^FAIL/p' "${page%.html}.said"
grep -q '^<pre>pass' "${page%.html}.said" || { echo "the page does not pass" >&2 && status=1; }
for broken in "$work"/broken/*.html; do
  name=$(basename "$broken" .html)
  if grep -q '^<pre>fail' "${broken%.html}.said"; then
    printf '%s: %s\n' "${name//_/ }" "$(grep -m1 '^FAIL' "${broken%.html}.said")"
  else
    echo "the checks do not see that ${name//_/ }" >&2
    status=1
  fi
done

if command -v clang++-16 >/dev/null; then
  lessons/21_explorer/web/build.sh "$work/new.wasm"
  node lessons/21_explorer/web/check.mjs "$page" "$work/new.wasm" | tail -1
fi
exit $status
