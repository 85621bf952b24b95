# `make` alone lists the targets. Two commands are all a reader needs: book and test.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: help book test lab serve look format bench clean env

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

book:  ## install, execute the notebooks, build the pages into _build/html
	@$(PYTHON) tools/build_book.py

test: env  ## all that can be wrong: lint, units, contract, notebooks, pages, browser
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "not browser" tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadscope --nbval-lax book
	@$(PYTHON) tools/build_book.py
	$(BIN)/python -m pytest -n auto -m browser tests/browser

lab: env  ## open JupyterLab on the book
	$(BIN)/jupyter lab --notebook-dir=book

serve: env  ## serve the built book on loopback
	$(BIN)/python -m tools.serve

look: env  ## screenshots of every page into _build/look, with a contact sheet
	$(BIN)/python -m tools.look

format: env  ## format modules, tests and notebooks, strip outputs that are not checked
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python -m tools.tidy_notebooks

bench: env  ## our code beside its peers, as ratios
	$(BIN)/python -m benchmarks

clean:  ## remove what is built (_build and caches), not .venv
	rm -rf _build .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

env:
	@$(PYTHON) tools/environment.py
