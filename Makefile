# `make` alone lists the targets. Two commands are all a reader needs: book and test.
PYTHON ?= python3
# Called as `python -m …`: console scripts hold the path of the folder they were
# installed in, and this one may have been renamed since.
VENV = .venv/bin/python

# This checkout's modules and this environment's Jupyter, whatever the shell points to.
export PYTHONPATH = $(CURDIR)
unexport PYTHONHOME PYTHONOPTIMIZE PYTHONSAFEPATH PYTHONSTARTUP PYTHONWARNINGS
unexport JUPYTER_PATH MATPLOTLIBRC

.PHONY: help book test lab serve look slides dist format bench mutants matrix clean env

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

book:  ## install, execute the notebooks, build the pages into _build/html
	@$(PYTHON) -E -m tools.pipeline book

test:  ## all that can be wrong: lint, units, contract, notebooks, pages, browser
	@$(PYTHON) -E -m tools.pipeline test

lab: env  ## open JupyterLab on the book
	$(VENV) -m jupyterlab --notebook-dir=book

serve: env  ## serve the built book on loopback
	$(VENV) -m tools.serve

look: env  ## screenshots of every page into _build/look, with a contact sheet
	$(VENV) -m tools.look

slides: book  ## each core path as a slide show, into _build/slides
	$(VENV) -m tools.slides

dist: book  ## the book to take along: zips, a PDF (wants chromium), digests
	$(VENV) -m tools.dist

format: env  ## format code and notebooks, strip outputs, write the generated tables
	$(VENV) -m ruff check --fix .
	$(VENV) -m ruff format .
	$(VENV) -m tools.tidy_notebooks
	$(VENV) -m tools.tables

bench: env  ## our code beside its peers, as ratios; writes benchmarks/measured
	$(VENV) -m benchmarks

mutants: env  ## change the modules and see the tests notice (hours; goes on where it was)
	$(VENV) -m tools.mutants

matrix: env  ## the tests under other versions of Python and torch (downloads)
	$(VENV) -m tools.matrix

clean:  ## remove what is built (_build and caches), not .venv
	rm -rf _build .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

env:
	@$(PYTHON) -E tools/environment.py
