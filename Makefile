# demo: photo in, mesh out. test: everything. The rest is for developers.
PYTHON ?= python3
PHOTO ?=
DATA ?= data
BIN = .venv/bin
TOOLS = tests/tools/node_modules/.bin
PROTO = selfie3d/v1/reconstruction.proto

demo: .venv/.demo
	$(BIN)/selfie3d demo $(PHOTO)

test: .venv/.dev $(TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy client service worker cli tests
	cd protos && ../$(TOOLS)/buf lint
	$(BIN)/pytest

audit: .venv/.dev
	$(PYTHON) -m venv .venv/audit && .venv/audit/bin/pip install --quiet pip-audit && .venv/audit/bin/pip-audit --strict --skip-editable -s osv --path .venv/lib/python3.*/site-packages

bench: .venv/.dev
	$(BIN)/python -m tests.benchmarks

soak: .venv/.dev
	$(BIN)/pytest -m soak tests/faults

train: .venv/.dev
	$(BIN)/python -m selfie3d_training train --data $(DATA)

protos: .venv/.dev
	$(BIN)/python -m grpc_tools.protoc -Iprotos --python_out=client --pyi_out=client --grpc_python_out=client $(PROTO)

.venv/.demo: EXTRAS = service,worker
.venv/.dev: EXTRAS = dev
.venv/.%: pyproject.toml
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	touch $@

$(TOOLS): tests/tools/package.json
	npm install --prefix tests/tools --no-audit --no-fund --silent
	touch $@

.PHONY: demo test audit bench soak train protos
