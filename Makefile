# Everything a newcomer or CI needs; each target does its own set-up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := RECONCILE_CLUSTER=build/demo/cluster.db $(BIN)/reconcile

.PHONY: demo envtest browser libvirt test test-libvirt check fix verify bench bench-libvirt soak generate clean

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(READY) ## plan, apply with progress, then a second plan that is empty
	rm -rf build/demo
	$(DEMO) --plan examples/manifests/quickstart
	$(DEMO) --yes --latency 0.3 examples/manifests/quickstart
	$(DEMO) get
	$(DEMO) --plan --detailed-exitcode examples/manifests/quickstart

check: $(READY) ## style, types, layers, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest tests/unit/test_layers.py
	$(BIN)/python -m docs.generate --check

test: $(READY) ## everything; what needs a Kubernetes API, a browser or libvirt is skipped unless 'make envtest browser libvirt'
	$(BIN)/pytest

envtest: ## etcd, kube-apiserver and kubectl for the tests, built once into a cache folder
	tools/controlplane/build

libvirt: $(READY) ## libvirt, QEMU and their Python binding for the tests on real machines, where we may install them
	tools/libvirt/install
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,libvirt]'

test-libvirt: libvirt ## the libvirt driver on this host: it makes machines, and cleans up after itself
	RECONCILE_REQUIRE_LIBVIRT=1 $(BIN)/pytest tests/libvirt

browser: ## Chromium for the tests, where there is none and we may install it
	@if command -v chromium chromium-browser google-chrome >/dev/null; then :; \
	elif [ "$$(id -u)" != 0 ]; then echo "no browser, and not root: install the Debian package chromium"; \
	else apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; fi

fix: $(READY) ## what can be put right by machine
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: $(READY) ## schemas, pages and definitions that follow from the code's tables
	$(BIN)/python -m docs.generate

bench: $(READY) envtest ## figures for the README
	$(BIN)/python -m benchmarks.plan
	$(BIN)/python -m benchmarks.apply
	$(BIN)/python -m benchmarks.kubernetes
	$(BIN)/python -m benchmarks.watch

bench-libvirt: libvirt ## figures of real machines: makes 20 on this host, measures, and cleans up; OTHERS=--others compares
	$(BIN)/python -m benchmarks.libvirt $(OTHERS)

soak: $(READY) ## a simulated hour of a daemon beside 10,000 resources; takes 20 minutes
	$(BIN)/python -m benchmarks.soak

clean:
	rm -rf $(VENV) .reconcile build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
