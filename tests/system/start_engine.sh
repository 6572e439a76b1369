#!/usr/bin/env bash
# Make sure a Docker engine answers, starting one where none runs.
#
# Usage: start_engine.sh DIR
#
# Prints "running" when an engine already answered, or "started" when this
# script started one (as root). The caller then stops it with
#     kill "$(cat DIR/docker.pid)"
# DIR holds that engine's data and its log, dockerd.log.
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
    say "no Docker engine answers, and starting one needs root"
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
# Where an init system runs, the package has started the engine by itself.
if answers; then
    echo running
    exit 0
fi

mkdir -p "$1"
dir=$(cd "$1" && pwd)
log=$dir/dockerd.log

# Its own session, so that an interrupt meant for the caller does not stop it
# halfway; no inherited output, so that a caller reading ours sees its end. The
# engine picks the storage driver that DIR's file system can take.
setsid dockerd --data-root "$dir/data" --pidfile "$dir/docker.pid" \
    </dev/null >"$log" 2>&1 &
engine=$!

deadline=$((SECONDS + 60))
until answers; do
    if ! kill -0 "$engine" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
        kill "$engine" 2>/dev/null || true
        tail -n 20 "$log" >&2
        say "the engine did not come up; its log is $log"
        exit 1
    fi
    sleep 0.5
done
echo started
