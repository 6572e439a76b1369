#!/usr/bin/env bash
# Build the images, start them with Compose and predict from the page's container. Requires root and Debian's Docker
# packages only if no Docker engine is running. Containers, volumes and the engine are removed at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."

engine=$(mktemp -d)
# The default ports may be in use. The classic builder works even where BuildKit is not installed.
export COMPOSE_PROJECT_NAME=traffic-sign-test SERVICE_PORT=19696 PAGE_PORT=18501 DOCKER_BUILDKIT=0
export COMPOSE_FILE=docker-compose.yaml:tests/system/tf-serving.yaml MODELS=$engine/models
state=$(tests/system/start_engine.sh "$engine")
compose=(docker compose) # the plugin, or the older standalone program
docker compose version > /dev/null 2>&1 || compose=(docker-compose)
cleanup() {
    "${compose[@]}" --profile tf-serving down --volumes --remove-orphans --timeout 5 || true
    docker rmi traffic-sign-service:slim traffic-sign-lambda > /dev/null 2>&1 || true
    if [ "$state" = started ]; then
        kill "$(cat "$engine/docker.pid")"
        tail --pid="$(cat "$engine/docker.pid")" -f /dev/null || true
    fi
    rm -rf "$engine" || true
}
trap cleanup EXIT

tests/system/make_base_image.sh
"${compose[@]}" build
docker build --file Dockerfile.service --target slim --tag traffic-sign-service:slim .
docker build --file deploy/lambda/Dockerfile --tag traffic-sign-lambda .
"${compose[@]}" up --detach # the page starts once the service is healthy

echo "--- smoke tests from another container of the page's image"
"${compose[@]}" --profile test run --rm test

echo "--- both containers run unprivileged on a read-only file system"
for container in service ui; do
    "${compose[@]}" exec -T "$container" python - << 'PYTHON'
import os
assert os.getuid() != 0
try:
    open("/app/README.md", "w")
except OSError as error:
    print("uid", os.getuid(), error.strerror)
else:
    raise SystemExit("the root file system is writable")
PYTHON
done

echo "--- the page's image contains no model code, the slim service image no TensorFlow"
"${compose[@]}" exec -T ui python -c 'import importlib.util as u; assert not any(map(u.find_spec, ("model", "data", "flask", "tensorflow")))'
docker run --rm traffic-sign-service:slim python -c 'import importlib.util as u; assert u.find_spec("ai_edge_litert") and not u.find_spec("tensorflow")'
"${compose[@]}" exec -T service python -c 'import importlib.util as u; assert u.find_spec("tensorflow")'

echo "--- the image for AWS Lambda answers on a read-only file system, and contains no TensorFlow"
docker run --rm --interactive --read-only --network none --entrypoint python traffic-sign-lambda -c '
import base64, importlib.util, sys, types
from service.aws_lambda import handler
event = {"image": base64.b64encode(sys.stdin.buffer.read()).decode()}
answer = handler(event, types.SimpleNamespace(aws_request_id="test"))
print(answer["class_name"], answer["verdict"])
assert answer["class_index"] == 14, answer
assert importlib.util.find_spec("awslambdaric") and not importlib.util.find_spec("tensorflow")
' < ui/static/traffic_sign/samples/stop.png

echo "--- train on drawn signs in the service's container"
"${compose[@]}" exec -T service python init.py --data drawn --preset quick --artifact data/store/quick

echo "--- the same smoke tests with a server in place of TensorFlow Serving behind the service"
mkdir "$MODELS"
docker run --rm --user "$(id -u)" --volume "$MODELS:/models" traffic-sign-service sh -c \
    'for artifact in model/artifacts/*/; do python -m model.training.export "$artifact" --to saved_model /models || exit 1; done'
export SERVICE_TF_SERVING=tf-serving:8500
"${compose[@]}" --profile tf-serving up --detach
"${compose[@]}" exec -T service python - << 'PYTHON'
import time, urllib.error, urllib.request
for _ in range(120):  # TensorFlow starts and reads the networks
    try:
        print("ready:", urllib.request.urlopen("http://127.0.0.1:9696/readyz").status)
        break
    except urllib.error.URLError as error:
        reason = error
        time.sleep(1)
else:
    raise SystemExit(f"the service is not ready: {reason}")
PYTHON
"${compose[@]}" --profile test run --rm test
"${compose[@]}" exec -T service python - << 'PYTHON'
import urllib.request
text = urllib.request.urlopen("http://127.0.0.1:9696/metrics").read().decode()
calls = [line for line in text.splitlines() if line.startswith("sign_engine_seconds_count") and "answered" in line]
print(*calls)
assert calls, "TensorFlow Serving was not asked"
PYTHON

docker images --format '{{.Repository}}:{{.Tag}} {{.Size}}' | grep traffic-sign
echo passed
