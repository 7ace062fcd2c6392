#!/usr/bin/env bash
# Kills provider and consumer, 200 times in all, at random moments of paid streams over real WebRTC on a test chain; then
# buries everything and prints what each side has. Ends with 1 if anybody lost more than the bounds say.
#
#   KILLS=200       how often
#   KILL_SEED=7     repeats the choices of an earlier run, which said its seed
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=env/lib.sh
. "$root/tests/env/lib.sh"

use_cargo || die "Rust is missing: run tests/env/setup.sh"
cd "$root"
KILLS=${KILLS:-200} exec cargo test --locked --test kill -- --nocapture nobody_loses
