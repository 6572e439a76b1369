#!/usr/bin/env bash
# Ensure that a Docker engine is running; start one if necessary.
#
# Usage: start_engine.sh DIR
#
# Prints "running" if an engine was already running, or "started" if this
# script started one (requires root). The caller then stops it with
#     kill "$(cat DIR/docker.pid)"
# DIR contains the data and the log (dockerd.log) of that engine.
set -euo pipefail

say() { echo "start_engine: $*" >&2; }
answers() { timeout 10 docker info >/dev/null 2>&1; }

if [ $# -ne 1 ]; then
    say "usage: start_engine.sh DIR"
    exit 2
fi
if answers; then
    echo running
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    say "no Docker engine is running; run as root to start one"
    exit 1
fi

packages=()
if ! command -v dockerd >/dev/null; then
    packages+=(docker.io)
fi
if ! command -v docker-compose >/dev/null && ! docker compose version >/dev/null 2>&1; then
    packages+=(docker-compose)
fi
if [ ${#packages[@]} -gt 0 ]; then
    DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends "${packages[@]}" >&2
fi
# With an init system, installing the package has started the engine.
if answers; then
    echo running
    exit 0
fi

mkdir -p "$1"
dir=$(cd "$1" && pwd)
log=$dir/dockerd.log

# A separate session protects the engine from interrupts of the caller. Redirected
# output lets a caller that reads ours see end-of-file. The engine itself chooses
# a storage driver that works on DIR's file system.
setsid dockerd --data-root "$dir/data" --pidfile "$dir/docker.pid" \
    </dev/null >"$log" 2>&1 &
engine=$!

deadline=$((SECONDS + 60))
until answers; do
    if ! kill -0 "$engine" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
        kill "$engine" 2>/dev/null || true
        tail -n 20 "$log" >&2
        say "the engine did not start; see $log"
        exit 1
    fi
    sleep 0.5
done
echo started
