# `make help` lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AXE := $(VENV)/axe/node_modules/axe-core/axe.min.js
# Load tests, which must not run in parallel with others.
ALONE := tests/faults/test_service_faults.py tests/service/test_gate.py
# Longest tests first, so that both processes finish at about the same time.
LONGEST := tests/test_init.py tests/faults/test_training_faults.py tests/model
TOGETHER := $(LONGEST) $(filter-out $(LONGEST) $(ALONE),$(patsubst %/,%,$(wildcard tests/*/)) $(wildcard tests/test_*.py))
GROUPS := service lambda ui train notebooks dev
ARTIFACT := model/artifacts/traffic_sign/card.json
# Without a classifier, the service trains one on its first start and needs the packages for training.
RUN_GROUPS := service ui $(if $(wildcard $(ARTIFACT)),,train)
COMPARED := $(COMPARISON)$(wildcard data/store/comparison/$(or $(TASK),traffic_sign))
NOTEBOOKS := $(filter-out $(if $(COMPARED),,%/compare_models.ipynb),$(wildcard notebooks/*.ipynb))
# The name of the cluster of kind, and of the namespace in every cluster.
CLUSTER := traffic-signs
COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --upgrade \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps

.DEFAULT_GOAL := help
.PHONY: help run test test-training test-browser test-faults check audit format train train-quick model-card compare bench bench-short bench-page bench-photos bench-tasks bench-lambda bench-training wrk samples screenshots notebooks test-system test-kubernetes proto kind-up kind-down deploy lock chromium install

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

run: $(RUN_GROUPS:%=$(VENV)/%.installed) ## Start the service and the page
	@service=http://localhost:$${SERVICE_PORT:-9696}; page=http://localhost:$${STREAMLIT_SERVER_PORT:-8501}; \
	echo "page $$page, service $$service; Ctrl-C stops both"; \
	$(BIN)/python -m gunicorn -c service/gunicorn.conf.py & first=$$!; \
	UI_SERVICE_URL=$${UI_SERVICE_URL:-$$service} $(BIN)/python -m ui & second=$$!; \
	trap 'kill $$first $$second 2> /dev/null; wait' EXIT; \
	wait -n; status=$$?; echo "the service or the page has exited; stopping the other"; exit $$status

test: install chromium $(AXE) ## Run all tests except the slow ones; install what they need
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ALONE:%=--ignore=%) $(TOGETHER)
	$(BIN)/python -m pytest $(ALONE)

test-training: install ## Run the slow tests, which train several times: distillation, feedback, resuming
	$(BIN)/python -m pytest -m slow

test-browser: install chromium $(AXE) ## Run the browser tests against the real service
	$(BIN)/python -m pytest tests/browser

test-faults: install ## Run all fault-injection tests of service and training, and print the losses
	FAULTS=full $(BIN)/python -m pytest tests/faults

check: install ## Run linters, format check, type check, import rules and audit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory audit

audit: install ## Look up known vulnerabilities of deployed packages, if the network allows it
	@report=$$($(BIN)/pip-audit --disable-pip --progress-spinner off -r requirements/lambda.txt -r requirements/ui.txt 2>&1); \
	echo "$$report" | grep -E '^(Found|No known)' || echo "audit skipped: the vulnerability database cannot be reached"; \
	if grep -q '^Found' <<< "$$report"; then echo "$$report"; exit 1; fi

format: install ## Format the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

train: $(VENV)/train.installed ## Train a classifier on DATA=path (default: the data set in data/store)
	$(BIN)/python init.py --retrain $(if $(DATA),--data $(DATA))

train-quick: $(VENV)/train.installed ## Train on drawn signs in half a minute, into data/store/quick
	$(BIN)/python init.py --retrain --data drawn --preset quick --artifact data/store/quick

model-card: $(VENV)/train.installed ## Generate docs/model_card.md
	$(BIN)/python -m model.evaluation.model_card $(dir $(ARTIFACT)) docs/model_card.md

compare: $(VENV)/train.installed ## Compare NETWORKS="NAME …" with SEEDS="0 1 …" for TASK=name on DATA=path (default: data/store)
	$(BIN)/python -m model.training.compare $(if $(TASK),--task $(TASK)) $(NETWORKS) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(DATA),--data $(DATA))

bench-training: $(VENV)/train.installed ## Benchmark the data augmentation as a share of a training step
	$(BIN)/python -m bench.augmentation

bench: .venv-bench/installed wrk ## Benchmark the service against plain inference, its predecessor and other servers; then photos
	.venv-bench/bin/python -m bench.serve $(if $(DATA),--data $(DATA))
	.venv-bench/bin/python -m bench.serve --tf-serving
	.venv-bench/bin/python -m bench.photos

bench-short: install wrk ## Run a short benchmark: the service, plain inference and plain Flask
	$(BIN)/python -m bench.serve --short --rounds 1 --seconds 1

bench-photos: $(VENV)/train.installed ## Benchmark whole photos: decoding, and finding the signs in them
	$(BIN)/python -m bench.photos

bench-tasks: install ## Benchmark the start and the memory of the service with one task and with five
	$(BIN)/python -m bench.tasks

bench-lambda: install ## Benchmark the start and the memory of the function on AWS Lambda
	$(BIN)/python -m bench.aws_lambda

# axe-core checks the accessibility of pages; without npm its tests are skipped.
$(AXE):
	@mkdir -p $(@D)
	-npm install --silent --no-save --no-package-lock --no-audit --no-fund --ignore-scripts --prefix $(VENV)/axe axe-core@4.14.1

bench-page: install chromium ## Benchmark the page: loading, one prediction and a thousand predictions
	$(BIN)/python -m bench.page

wrk: # the load generator, from the distribution
	@if command -v wrk > /dev/null; then exit; fi; \
	if [ "$$(id -u)" = 0 ] && apt-get update --quiet && apt-get install --yes --quiet wrk; then exit; fi; \
	echo "wrk is not installed; sudo apt-get install wrk"; exit 1

.venv-bench/installed: bench/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@

samples: $(VENV)/train.installed ## Regenerate the page's pictures: icon, samples and signs
	$(BIN)/python -m data.tasks.traffic_sign.drawing.samples ui

screenshots: install chromium ## Take the screenshots for the README
	$(BIN)/python -m tests.browser.screenshots docs

notebooks: $(VENV)/train.installed $(VENV)/notebooks.installed ## Render the notebooks to notebooks/html; TASK=name, DATA=path, COMPARISON=path (default: data/store)
	TASK=$(TASK) $(if $(DATA),DATA=$(abspath $(DATA))) $(if $(COMPARISON),COMPARISON=$(abspath $(COMPARISON))) \
		$(BIN)/python -m nbconvert --to html --execute \
		--HTMLExporter.require_js_url= --HTMLExporter.mathjax_url= --output-dir notebooks/html$(if $(TASK),/$(TASK)) $(NOTEBOOKS)
	$(if $(COMPARED),,@echo "Skipped compare_models.ipynb: there is no comparison. Run make compare or set COMPARISON=path.")

test-system: ## Build the images, start them with Compose and predict from the page's container
	tests/system/run.sh

test-kubernetes: install ## Build the images, deploy OVERLAYS to the cluster of KUBECONFIG, disturb it under load and print the losses
	$(BIN)/python -m pytest -m kubernetes tests/kubernetes

proto: $(VENV)/dev.installed ## Generate the code for the messages of TensorFlow Serving
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. model/tf_serving/api.proto

# Images have the tag that the manifests in deploy/kubernetes name. Only kind's overlays find them on the nodes.
kind-up: ## Create a local Kubernetes cluster with kind, build the images and load them; MODELS=path adds TensorFlow Serving
	@command -v kind > /dev/null || { echo "kind is not installed: https://kind.sigs.k8s.io/docs/user/quick-start"; exit 1; }
	if kind get clusters | grep --quiet --line-regexp $(CLUSTER); then kind export kubeconfig --name $(CLUSTER); \
	else kind create cluster --config deploy/kubernetes/kind.yaml; fi
	docker build --file Dockerfile.service --target slim --tag traffic-sign-service:dev .
	docker build --file Dockerfile.ui --tag traffic-sign-ui:dev .
	$(if $(MODELS),docker build --file deploy/tf-serving/Dockerfile --tag traffic-sign-tf-serving:dev $(MODELS))
	kind load docker-image --name $(CLUSTER) traffic-sign-service:dev traffic-sign-ui:dev $(if $(MODELS),traffic-sign-tf-serving:dev)

kind-down: ## Delete the local Kubernetes cluster
	kind delete cluster --name $(CLUSTER)

deploy: ## Deploy OVERLAY=kind (or another folder in deploy/kubernetes/overlays) with kubectl and wait until it runs
	@if [ ! -f deploy/kubernetes/overlays/$(OVERLAY)/kustomization.yaml ]; then \
		echo "set OVERLAY to one of: $(notdir $(wildcard deploy/kubernetes/overlays/*))"; exit 1; fi
	@echo "deploying to the cluster of the context $$(kubectl config current-context)"
	kubectl apply --kustomize deploy/kubernetes/overlays/$(OVERLAY)
	kubectl --namespace $(CLUSTER) get deployments --output name | xargs -n 1 kubectl --namespace $(CLUSTER) rollout status --timeout 5m

lock: $(VENV)/dev.installed ## Lock the dependencies of pyproject.toml in requirements/*.txt
	@all=$$(mktemp) && trap 'rm -f $$all' EXIT && \
	$(COMPILE) $(GROUPS:%=--extra %) --output-file $$all && \
	for group in $(GROUPS); do \
		$(COMPILE) --extra $$group --constraint $$all --generate-hashes --output-file requirements/$$group.txt; \
	done && \
	$(COMPILE) --extra service --extra train --extra bench --constraint $$all --generate-hashes --output-file bench/requirements.txt

chromium: # from the distribution, because Playwright would download its own
	@if command -v chromium chromium-browser google-chrome > /dev/null; then exit; fi; \
	if [ "$$(id -u)" = 0 ] && apt-get update --quiet && apt-get install --yes --quiet chromium; then exit; fi; \
	echo "Chromium is not installed, so browser tests will be skipped; sudo apt-get install chromium"

install: $(GROUPS:%=$(VENV)/%.installed) ## Create the virtual environment with all packages

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/%.installed: requirements/%.txt | $(VENV)/bin/pip
	@echo "installing $<"
	@$(INSTALL) -r $<
	@touch $@
