#!/usr/bin/env bash
# run.sh [REQUESTS] - the soak test on a release build: 2,000,000 requests, unless told otherwise, while
# backends are killed and started again. Some minutes; tests/run.sh has a short form of it.
set -eu
export PYTHONDONTWRITEBYTECODE=1

cd "$(dirname "$0")/../.."
# shellcheck source=tests/lib/prepare.sh
. tests/lib/prepare.sh

prepare_packages python3
conf/release.sh build/soak
exec python3 tests/soak/soak.py build/soak/rondo build/soak/mock_backends "${1:-2000000}"
