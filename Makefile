# Everything a newcomer or CI needs; each target does its own set-up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
READY := $(VENV)/.ready
WORKERS ?= 2
FUZZ_SECONDS ?= 30
FUZZ_SEED ?= 1
unexport PYTHONDONTWRITEBYTECODE # or each command that a test runs compiles the package again
DEMO := RECONCILE_CLUSTER=build/demo/cluster.db $(BIN)/reconcile

.PHONY: demo envtest browser libvirt ovn test test-slow test-kubernetes test-browser test-libvirt test-network fuzz campaign check fix docs lock sbom image bench \
	bench-libvirt soak generate clean

$(READY): pyproject.toml requirements/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements/dev.txt
	$(PIP) --no-build-isolation --no-deps -e .
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
	$(BIN)/python -m tools.generate --check

test: $(READY) ## what needs no Kubernetes API, browser, libvirt, OVN or patience; 3 minutes on 2 cores
	$(BIN)/pytest -n $$(($(WORKERS) + 1)) --dist worksteal -m "not (kubernetes or libvirt or network or browser or slow)"

test-slow: $(READY) ## properties of random stacks, every field, promises in depth, kills and soaks
	$(BIN)/pytest -n $(WORKERS) -m slow

test-kubernetes: $(READY) envtest ## on a real etcd and kube-apiserver, one pair for each worker
	RECONCILE_REQUIRE_KUBERNETES=1 $(BIN)/pytest -n $(WORKERS) --dist loadfile -m kubernetes

test-browser: $(READY) browser ## what people see, in Chromium
	RECONCILE_REQUIRE_BROWSER=1 $(BIN)/pytest -m browser

test-libvirt: libvirt ## the libvirt driver on real machines: each worker has a libvirt in namespaces of its own
	RECONCILE_REQUIRE_LIBVIRT=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal -m libvirt

test-network: libvirt ovn ## networks of OVN, and machines on them, on hosts in namespaces: packets, not rows
	RECONCILE_REQUIRE_OVN=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal -m network

fuzz: $(READY) ## random manifests through load, validate, plan and every output; FUZZ_SEED gives other ones
	PYTHONPATH=tests $(BIN)/python -m tools.fuzz --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED) --processes $(WORKERS)

campaign: $(READY) envtest libvirt ovn ## everything above without a choice of cases: each golden plan on Kubernetes, each kill on libvirt
	RECONCILE_CAMPAIGN=1 RECONCILE_REQUIRE_KUBERNETES=1 RECONCILE_REQUIRE_LIBVIRT=1 RECONCILE_REQUIRE_OVN=1 $(BIN)/pytest \
		-m "kubernetes or libvirt or network or slow"

envtest: ## etcd, kube-apiserver and kubectl for the tests, built once into a cache folder
	tools/controlplane/build

libvirt: $(READY) ## libvirt, QEMU and their Python binding for the tests on real machines, where we may install them
	tools/libvirt/install
	$(PIP) --require-hashes -r requirements/libvirt.txt

ovn: $(READY) ## OVN, Open vSwitch and their Python bindings for the tests on real networks, where we may install them
	tools/ovn/install
	$(PIP) --require-hashes -r requirements/ovn.txt

browser: ## Chromium for the tests, where there is none and we may install it
	@if command -v chromium chromium-browser google-chrome >/dev/null; then :; \
	elif [ "$$(id -u)" != 0 ]; then echo "no browser, and not root: install the Debian package chromium"; \
	else apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; fi

fix: $(READY) ## what can be put right by machine
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## the documentation site, into build/docs; a link that leads nowhere is an error
	$(PIP) --require-hashes -r requirements/docs.txt
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lock: ## requirements/*.txt, written again with the newest versions that pyproject.toml allows
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check uv
	PATH="$(CURDIR)/build/lock/bin:$$PATH" tools/lock

sbom: $(READY) ## build/reconcile.cdx.json: what the image installs, with versions and hashes, in CycloneDX; checked
	$(PYTHON) -m venv build/sbom
	build/sbom/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/sbom.txt
	tools/sbom build/reconcile.cdx.json
	RECONCILE_REQUIRE_SBOM=1 $(BIN)/pytest tests/project/test_sbom.py

image: ## the image on a base named by digest, pushed to IMAGE; build/deploy has the deployment files with its digest
	tools/image $(IMAGE)

generate: $(READY) ## schemas, pages and definitions that follow from the code's tables
	$(BIN)/python -m tools.generate

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
