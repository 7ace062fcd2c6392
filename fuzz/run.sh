#!/usr/bin/env bash
# Fuzzes a target, then keeps of what it found the inputs that matter: run.sh TARGET [SECONDS]
#
# New inputs go to a folder outside the repository; what is worth keeping (the fewest inputs that reach all that was
# reached, small ones, some hundred at most) becomes fuzz/corpus/TARGET, which the tests replay. Needs a nightly compiler
# and cargo-fuzz (`cargo install cargo-fuzz`).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${1:?a target: $(cd fuzz/fuzz_targets && echo *.rs | sed 's/\.rs//g')}
seconds=${2:-1200}
# Longer inputs only take longer; so many are kept at most.
readonly longest=4096 most=150

work="${XDG_CACHE_HOME:-${HOME:?}/.cache}/streamium-pay/fuzz/$target"
corpus="fuzz/corpus/$target"
mkdir -p "$work" "$corpus"
words=()
[ ! -f "fuzz/$target.dict" ] || words=("-dict=fuzz/$target.dict")

cargo +nightly fuzz run "$target" "$work" "$corpus" -- \
  -max_total_time="$seconds" -max_len="$longest" -timeout=10 -rss_limit_mb=4096 -print_final_stats=1 "${words[@]}"

kept=$(mktemp -d)
trap 'rm -rf "$kept"' EXIT
cargo +nightly fuzz run "$target" "$kept" "$corpus" "$work" -- -merge=1 -max_len="$longest"
rm -rf "$corpus"
mkdir "$corpus"
# The small ones first: the merge has left no two that reach the same, but a few that are much larger.
find "$kept" -type f -printf '%s %p\n' | sort -n | head -n "$most" | while read -r _ file; do
  cp "$file" "$corpus/"
done
echo "$target: $(find "$corpus" -type f | wc -l) inputs kept, $(du -sb "$corpus" | cut -f1) bytes"
