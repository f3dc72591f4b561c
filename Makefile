# make demo | make test | make lint | make docs | make hub | make space | make clean
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Not pip's quiet mode: the downloads take minutes and shall be seen.
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo test test-slow test-lowest test-newest lint docs docs-serve hub space clean

help:
	@echo "make demo       set everything up in $(VENV), classify a real video, draw its emotions over time, fine-tune"
	@echo "make test       set everything up in $(VENV), run the tests (about five minutes)"
	@echo "make test-slow  run also the tests that take minutes each"
	@echo "make test-lowest  run the quick tests with the lowest versions that pyproject.toml allows, in .venv-lowest"
	@echo "make test-newest  run them with another version of transformers, TRANSFORMERS=5.24.0, in .venv-newest"
	@echo "make lint       check style and types"
	@echo "make docs       build the documentation into output/site; make docs-serve shows it while you write"
	@echo "make hub        put together complete Hub folders of both checkpoints, with code: output/hub"
	@echo "make space      put together the folder to upload as a Space of the Hub (hub_cards/space/README.md)"
	@echo "make clean      remove $(VENV) and the demo's output"

# One stamp a set of requirements: nothing is installed twice.
$(VENV)/.base:
	@echo ">> Making a virtual environment in $(VENV)"
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.base pyproject.toml constraints.txt
	@echo ">> Installing the package (PyTorch alone is a large download; once only)"
	$(INSTALL) --editable ".[plot,training]"
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	@echo ">> Installing what the tests need (once only)"
	$(INSTALL) --editable ".[dev]"
	@touch $@

$(VENV)/.docs: $(VENV)/.base pyproject.toml constraints.txt
	@echo ">> Installing what the documentation is built with (once only)"
	$(INSTALL) --editable ".[docs]"
	@touch $@

demo: $(VENV)/.demo
	@echo ">> The emotion in a real video of a face, as a whole and over time"
	$(BIN)/rdfer predict tests/data/cap13_edit2.mp4 --top-k 7
	@mkdir -p output
	$(BIN)/rdfer timeline tests/data/cap13_edit2.mp4 --window 0.5 --step 0.2 --out output/timeline.png
	@echo ">> Fine-tuning on synthetic videos, three in ten of them labelled wrongly (about three minutes)"
	$(BIN)/python -m training.synthetic --output-dir output/synthetic --videos 350 --noise 0.3 --size 112 --num-workers 2
	$(BIN)/python -m training.train --config training/recipes/demo.yaml --dataset output/synthetic --output-dir output/demo
	@echo ">> Look at output/timeline.png, output/timeline.csv, and output/demo (confusion matrix, curves, sample table)"

test: $(VENV)/.dev
	$(BIN)/python -m tests.helpers.transformers_tests
	@echo ">> Running the tests"
	$(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist loadfile

test-slow: $(VENV)/.dev
	$(BIN)/python -m tests.helpers.transformers_tests
	$(BIN)/python -m pytest

# KEEP="torch torchvision torchcodec" takes the usual versions of these, where the lowest cannot be installed.
LOWEST := .venv-lowest
KEEP ?=
$(LOWEST)/.installed: pyproject.toml constraints.txt .ci/lowest_versions.py
	$(PYTHON) -m venv $(LOWEST)
	$(PYTHON) .ci/lowest_versions.py --except $(KEEP) > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --disable-pip-version-check --constraint $(LOWEST)/constraints.txt \
		--editable ".[onnx,plot,timm,training]" pytest pytest-xdist packaging
	@touch $@

test-lowest: $(LOWEST)/.installed
	$(LOWEST)/bin/python -m pytest -m "not slow and not npm" --numprocesses 2 --dist loadfile \
		tests/models tests/inference tests/trainer tests/test_cli.py

# Everything as in constraints.txt, but transformers.
NEWEST := .venv-newest
TRANSFORMERS ?= 5.24.0
test-newest:
	test -d $(NEWEST) || $(PYTHON) -m venv $(NEWEST)
	sed 's/^transformers==.*/transformers==$(TRANSFORMERS)/' constraints.txt > $(NEWEST)/constraints.txt
	$(NEWEST)/bin/python -m pip install --disable-pip-version-check --constraint $(NEWEST)/constraints.txt \
		--editable ".[onnx,plot,timm,training]" pytest pytest-xdist packaging
	$(NEWEST)/bin/python -m tests.helpers.transformers_tests
	$(NEWEST)/bin/python -m pytest -m "not slow and not npm" --numprocesses 2 --dist loadfile \
		tests/models tests/inference tests/trainer tests/test_cli.py

lint: $(VENV)/.dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

# A warning, e.g. a link to nowhere, stops the build. The variable silences an advertisement of the theme's.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs build --strict --quiet
	@echo ">> Open output/site/index.html"

docs-serve: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs serve

hub: $(VENV)/.demo
	$(BIN)/python -m training.build.hub_folders --output-dir output/hub

# The app, and the package, checkpoint and example where the package looks for them in a checkout.
SPACE := output/space
space:
	rm -rf $(SPACE)
	mkdir -p $(SPACE)
	cp hub_cards/space/app.py hub_cards/space/README.md hub_cards/space/requirements.txt LICENSE NOTICE $(SPACE)
	tar -c --exclude __pycache__ modeling_rdfer hub_cards/rdfer-small tests/data/cap13_edit2.mp4 \
		tests/data/cap13_LICENSE.txt | tar -x -C $(SPACE)

clean:
	rm -rf $(VENV) $(LOWEST) $(NEWEST) output
