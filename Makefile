# demo: photo in, mesh out. test: everything. unit: the quick part. The rest is for developers: see CONTRIBUTING.md.
PYTHON ?= python3
PHOTO ?=
OPEN ?=
DATA ?= data
BIN = .venv/bin
TOOLS = tests/tools/node_modules/.bin
PAGE = service/selfie3d_web/page
TYPESCRIPT = client/typescript
PROTO = selfie3d/v1/reconstruction.proto selfie3d/v1/admin.proto
SCALER_PROTO = selfie3d_service/scaler/externalscaler.proto
PIP = $(BIN)/python -m pip --disable-pip-version-check

demo: .venv/.demo
	$(BIN)/selfie3d demo $(if $(OPEN),--open) $(PHOTO)

test: .venv/.dev .venv/redis-7/redis-server .venv/helm/helm .venv/prometheus/promtool $(TOOLS) $(PAGE)/node_modules $(TYPESCRIPT)/node_modules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy client service worker cli tests
	cd protos && ../$(TOOLS)/buf lint
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered

unit: .venv/.dev
	$(BIN)/pytest tests/unit --ignore tests/unit/selfie3d_training -m "not slow and not soak" -n 2 --dist loadfile

audit: .venv/.dev
	$(PYTHON) -m venv .venv/audit && .venv/audit/bin/pip install --quiet pip-audit && .venv/audit/bin/pip-audit --strict --skip-editable -s osv --path .venv/lib/python3.*/site-packages

containers: .venv/.dev
	tests/tools/with_docker .venv/docker $(BIN)/pytest -m containers tests/containers

locks:
	$(PYTHON) -m venv .venv/locks && .venv/locks/bin/pip install --quiet uv
	deploy/locks/make .venv/locks/bin/uv

sbom:
	$(PYTHON) -m venv .venv/sbom && .venv/sbom/bin/pip install --quiet 'cyclonedx-bom>=7,<8'
	deploy/sbom .venv/sbom/bin/cyclonedx-py out/sbom

bench: .venv/.dev $(TOOLS)
	$(BIN)/python -m tests.benchmarks

soak: .venv/.dev .venv/redis-7/redis-server
	$(BIN)/pytest -m soak tests/faults
	tests/tools/on_redis7 .venv/redis-7 $(BIN)/pytest -m soak tests/faults/test_soak.py tests/faults/test_redis.py

train: .venv/.dev
	$(BIN)/python -m selfie3d_training train --data $(DATA) --folder runs/default

page: $(PAGE)/node_modules
	node $(PAGE)/build.mjs

protos: .venv/.dev $(TYPESCRIPT)/node_modules
	$(BIN)/python -m grpc_tools.protoc -Iprotos --python_out=client --pyi_out=client --grpc_python_out=client $(PROTO)
	$(BIN)/python -m grpc_tools.protoc -Iprotos --python_out=service --pyi_out=service --grpc_python_out=service $(SCALER_PROTO)
	$(BIN)/python -m grpc_tools.protoc -Iprotos -I"$$($(BIN)/python -c 'import google.rpc as g; print(g.__path__[0] + "/../..")')" --plugin=protoc-gen-es=$(TYPESCRIPT)/node_modules/.bin/protoc-gen-es --es_out=$(TYPESCRIPT)/src/gen --es_opt=target=ts,import_extension=js $(PROTO) google/rpc/error_details.proto

.venv/.demo: WANTED = --editable '.[service,worker,web]'
.venv/.dev: WANTED = --editable '.[service,worker,web,blobs,otel,train,face-alignment]' --group dev
.venv/.%: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --quiet --upgrade 'pip>=25.1'
	$(PIP) install --quiet $(WANTED)
	touch $@

.venv/redis-7/redis-server: tests/tools/redis7
	tests/tools/redis7 $(@D)

.venv/helm/helm: tests/tools/helm
	tests/tools/helm $(@D)

.venv/prometheus/promtool: tests/tools/promtool
	tests/tools/promtool $(@D)

$(TOOLS): tests/tools/package.json
	npm install --prefix tests/tools --no-audit --no-fund --silent
	touch $@

$(PAGE)/node_modules: $(PAGE)/package.json
	npm install --prefix $(PAGE) --no-audit --no-fund --silent
	touch $@

$(TYPESCRIPT)/node_modules: $(TYPESCRIPT)/package.json
	npm install --prefix $(TYPESCRIPT) --no-audit --no-fund --silent
	touch $@

.PHONY: demo test unit audit containers locks sbom bench soak train page protos
