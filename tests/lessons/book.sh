#!/usr/bin/env bash
# Makes the book and checks it; then breaks a formula, links and a quote in a copy of a text, to see
# each of them found. Ends with 77 where Node.js or its packages are not here.
#     tests/lessons/book.sh WORK
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD
export NODE_PATH=${NODE_PATH:+$NODE_PATH:}/usr/share/nodejs
has_packages() {
  node -e 'for (const p of ["markdown-it", "katex", "prismjs"]) require.resolve(p)' 2>/dev/null
}
if ! has_packages; then
  echo "skipped: no Node.js here with markdown-it, katex and prismjs (./learn book installs them)"
  exit 77
fi

rm -rf "$1"
mkdir -p "$1"
work=$(realpath "$1")
fail() { printf 'FAILED: %s\n' "$*"; exit 1; }

# expect STATUS PATTERN ... COMMAND: each pattern must be in what the command says.
expect() {
  local status=$1 got=0
  shift
  "${@: -1}" >"$work/said" 2>&1 || got=$?
  [ $got -eq "$status" ] || fail "${*: -1} ends with $got, not $status: $(cat "$work/said")"
  for pattern in "${@:1:$#-1}"; do
    grep -q -- "$pattern" "$work/said" || fail "it does not say '$pattern': $(cat "$work/said")"
  done
}
make() { node lessons/book/build.mjs "$work/out"; }
check() { node "$root/tests/lessons/book_check.mjs" "$work/out/book" "$PWD"; }

# ---- The book as it is, without the explorer and with one --------------------------------------

expect 0 'The book begins at' make
expect 0 'formulas, 0 faults' check
tail -1 "$work/said"
page=$work/out/book/21_explorer.html
grep -q 'run <code>./learn 21</code>' "$page" || fail "nothing says how to make the explorer"

mv "$work/out" "$work/first"
mkdir -p "$work/out/21_explorer"
echo "a page" >"$work/out/21_explorer/explorer.html"
expect 0 make
expect 0 check
grep -q 'href="explorer.html"' "$page" || fail "nothing leads to the explorer"
cmp "$work/out/21_explorer/explorer.html" "$work/out/book/explorer.html"
rm "$work/out/book/explorer.html"
differing=$(diff -rq "$work/first/book" "$work/out/book" | grep -v 21_explorer.html) || true
[ -z "$differing" ] || fail "made twice, the book is not the same: $differing"

# ---- Where it cannot be written ----------------------------------------------------------------

rm -rf "$work/out" && touch "$work/out"
expect 3 'cannot write the book' './learn book --out DIR' make
rm "$work/out"

# ---- Faults: in a copy of the project with one text that is a copy, all else being links --------

mkdir -p "$work/tree/lessons"
ln -s "$root"/{README.md,tests,tensor,autograd,nn} "$work/tree"
ln -s "$root"/lessons/* "$work/tree/lessons"
for copied in book 12_reparameterization 13_vae; do
  rm "$work/tree/lessons/$copied"
  cp -r "$root/lessons/$copied" "$work/tree/lessons/$copied"
done
cd "$work/tree"
cat >>lessons/13_vae/README.md <<'FAULTS'

The formula $\frac{1}$ is broken, so is $\nosuchcommand$, and this is none: $ 5 and $ 6.

[A link](nowhere.md), and ![an image](figures/nowhere.png).

<!-- lessons/13_vae/model.hpp -->
```cpp
int not_in_there = 0;
```
FAULTS
echo '[To no anchor](../13_vae/README.md#nowhere)' >>lessons/12_reparameterization/README.md
text='^book: lessons/13_vae/README.md: '
expect 1 "${text}formula .frac{1}$" "${text}formula .nosuchcommand$" "${text}a link to nowhere.md" \
  "${text}an image figures/nowhere.png" "${text}a quote that is not in lessons/13_vae/model.hpp" \
  make
rm "$work/out/book/files/lessons/01_pca/figures/scree.png"
expect 1 '12_reparameterization.html: a link to 13_vae.html#nowhere, and there is no such anchor' \
  '01_pca.html: a link to .*scree.png, which is not there' '13_vae.html: [0-9]* formulas, and' check
