PYTHON ?= .venv/bin/python
BUNDLE ?= ct_scroll
CONFIGS = bundles/$(BUNDLE)/configs

.venv:
	python3 -m venv .venv
	.venv/bin/pip install -e '.[dev]'

demo: .venv          ## a phantom through the bundle with the demo weights
	$(PYTHON) -m monai.bundle run --config_file $(CONFIGS)/inference.json
evaluate: .venv      ## the demo weights on 200 held-out phantoms
	$(PYTHON) -m monai.bundle run --config_file "['$(CONFIGS)/inference.json','$(CONFIGS)/evaluate.json']"
train: .venv         ## train the demo weights again: the encoder first, then the rest
	$(PYTHON) -m monai.bundle run --config_file "['$(CONFIGS)/inference.json','$(CONFIGS)/train.json','$(CONFIGS)/pretrain.json']"
	$(PYTHON) -m monai.bundle run --config_file "['$(CONFIGS)/inference.json','$(CONFIGS)/train.json','$(CONFIGS)/head_only.json']" --initial_weights runs/$(BUNDLE)_encoder/model.json
test: .venv          ## all tests
	$(PYTHON) -m pytest
pack-test: .venv     ## every bundle packed, downloaded and run where nothing else is installed
	$(PYTHON) -m pytest -m registry -s
label-env:           ## MONAI Label's server, in an environment of its own
	python3 -m venv .venv-label
	.venv-label/bin/pip install -r scripts/label_app/requirements.txt
label-test: .venv label-env  ## the server with the bundles, driven by MONAI Label's client
	$(PYTHON) -m pytest -m label -s
check: .venv         ## lint, format, types, floors
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports
benchmark: .venv     ## the tables of benchmarks/README.md
	$(PYTHON) -m benchmarks.preprocessing
	$(PYTHON) -m benchmarks.inference
	$(PYTHON) -m benchmarks.wholebody
	$(PYTHON) -m benchmarks.end_to_end
pictures: .venv      ## the documentation's pictures, drawn by the code as it is
	$(PYTHON) scripts/make_pictures.py
schemas: .venv       ## the JSON Schemas of results and cards, docs/schema
	$(PYTHON) scripts/write_schemas.py
help:                ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*##/\t/'

.PHONY: demo evaluate train test pack-test label-env label-test check benchmark pictures schemas help
