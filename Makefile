# make demo       the whole guide on the local sandbox; the last line on stdout is the record's path (ROAD=sip-uri: the other way in)
# make lab        sandbox and JupyterLab on the first notebook
# make test       lint and every test, notebooks included (under 40 minutes on 2 cores; JOBS=0: one after the other)
# make test-fast  lint and the tests that need nothing but Python (under 5 minutes)
# make soak       everything, with the long sweeps in full
# make check      ruff and mypy, nothing else
# make doctor     what is missing on this machine and the line that fixes it
# make venv       only set up .venv
# make lock       compile requirements*.lock and environment.yml from pyproject.toml (needs uv; UPGRADE=1 for newer ones)
# make clean      remove .venv and caches; records and site files stay
#
# .venv is made, or brought up to date, by every target that needs it. Set-up talk goes to stderr: stdout belongs
# to the program. Another Python: make PYTHON=/usr/bin/python3.12 demo. From another folder: make -sC this/folder demo
# (without -s, make writes its own "Leaving directory" as the last line).

MAKEFLAGS += --no-print-directory
.PHONY: help demo lab test test-fast soak check doctor venv lock clean

NOTEBOOKS = $(if $(wildcard notebooks/*.ipynb),--nbval-lax notebooks)
JOBS = 2
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
    --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade) \
    pyproject.toml --extra speech --extra browser --group build
export PYTHON

help:
	@sed -n 's/^# make /  make /p' Makefile

demo:
	@sh tools/system_packages.sh demo
	@sh tools/make_venv.sh requirements.lock
	@.venv/bin/bw-runbook demo$(if $(ROAD), --road $(ROAD))

lab:
	@sh tools/make_venv.sh requirements.lock
	@.venv/bin/bw-runbook lab

test: check
	@sh tools/system_packages.sh test
	@.venv/bin/python -m pytest -n $(JOBS) tests $(NOTEBOOKS)

test-fast: check
	@.venv/bin/python -m pytest -n $(JOBS) tests -m "not slow and not peer"

soak: check
	@sh tools/system_packages.sh test
	@BW_SOAK=1 .venv/bin/python -m pytest -n $(JOBS) --timeout=3600 tests $(NOTEBOOKS)

check:
	@sh tools/make_venv.sh requirements-dev.lock
	@.venv/bin/python -m ruff check --quiet .
	@.venv/bin/python -m mypy

doctor:
	@if [ -x .venv/bin/python ]; then exec .venv/bin/python bwlib/doctor.py; else exec python3 bwlib/doctor.py; fi

venv:
	@sh tools/make_venv.sh requirements.lock

lock:
	@uv --version >/dev/null 2>&1 || { echo "make lock needs uv. Do next: pipx install uv" >&2; exit 1; }
	@$(COMPILE) --group dev -o requirements-dev.lock
	@$(COMPILE) --constraint requirements-dev.lock -o requirements.lock
	@sh tools/make_venv.sh requirements-dev.lock
	@.venv/bin/python tools/sync_environment.py

clean:
	@rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	@find . -name .git -prune -o -name runs -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
