# The front door: `make` lists the commands.
#   PYTHON=python3.12 make run    another Python (3.11 or newer)
#   PORT=9000 make run            another web port
#   make test ARGS="-k ledger"    a part of the suite
#   make bench ONLY=send ROUNDS=3 a part of the benchmark
#   make faults ARGS=--short      a few minutes of them; ARGS="--only storm --messages 2000 --kills 40 --seed 7"

PYTHON ?= python3
ARGS ?=
# Test processes; the servers are shared, the databases are not.
WORKERS ?= 2

PY := .venv/bin/python
# Type checks load the settings; nothing is signed with these.
CHECK_ENV := ENV_FILES=off SECRET_KEY=only-for-checks JWT_SECRET=only-for-checks
TAMIL := locale/ta/LC_MESSAGES
COMPILE := $(PY) -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet

.DEFAULT_GOAL := help
.PHONY: help run test faults bench mutants messages screenshots lint format check lock clean install install-dev venv

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile

run: install ## start everything here: servers, web, worker, beat, demo data (PORT=8000); Ctrl-C stops it
	@exec $(PY) -m jyotiflow.local.run --with-parent

test: install-dev ## the whole test suite on real PostgreSQL and Valkey (ARGS="…" goes to pytest)
	@exec $(PY) -m pytest -n $(WORKERS) --dist=loadfile $(ARGS)

faults: install-dev ## kill, freeze and restart all of it under load, and judge what became of every message (long)
	@exec $(PY) -m tests.faults $(ARGS)

bench: install-dev ## what the product costs beside its peers, on servers of its own (ONLY=send,claim ROUNDS=5; long)
	@exec $(PY) -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS)

mutants: install-dev ## plant each known bug in a copy of the tree, and see that the suite notices it (ARGS=quiet: some)
	@exec $(PY) -m tests.mutants $(ARGS)

messages: install-dev ## gather the pages' texts into locale/ (needs gettext) and compile the translations
	for domain in django djangojs; do \
	  $(CHECK_ENV) $(PY) manage.py makemessages --domain $$domain --locale ta --no-obsolete --no-wrap \
	    --add-location file --ignore '.venv/*' --ignore '.local/*' --ignore 'tests/*' --ignore 'docs/*' \
	    --ignore 'vendor' && \
	  $(PY) -c "import polib; polib.pofile('$(TAMIL)/$$domain.po').save_as_mofile('$(TAMIL)/$$domain.mo')" || exit 1; \
	done

screenshots: install-dev ## pages and mails, as they look, into docs/screenshots (needs chromium)
	SCREENSHOTS=docs/screenshots $(PY) -m pytest tests/browser/test_looks.py tests/browser/test_admin_looks.py \
	  tests/browser/test_mail.py

lint: install-dev ## what must be clean: ruff, types, migrations, system checks
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(CHECK_ENV) $(PY) -m mypy .
	$(PY) -m jyotiflow.local.scratch $(PY) manage.py makemigrations --check --dry-run
	$(PY) -m jyotiflow.local.scratch $(PY) manage.py check --fail-level WARNING

format: install-dev ## put code in order: imports, layout, safe fixes
	$(PY) -m ruff check --fix-only --quiet .
	$(PY) -m ruff format .

check: test lint ## everything CI runs
	@exec $(PY) -m tests.faults --short

lock: install-dev ## compile requirements*.in into hash-locked requirements*.txt (ARGS=--upgrade for newer ones)
	$(COMPILE) $(ARGS) requirements.in -o requirements.txt
	$(COMPILE) $(ARGS) -c requirements.txt requirements-dev.in -o requirements-dev.txt

clean: ## remove the virtual environment, the local database, logs and caches
	@if [ -L .local/postgres ]; then rm -rf "$$(readlink .local/postgres)"; fi
	rm -rf .venv .local .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A lock counts as installed when its exact text lies in the environment: neither time stamps nor branches matter.
# $(1) is what to install; $(1) and $(2) are then installed.
define install
	@cmp -s $(1) .venv/$(1) || { \
	  echo "Installing $(1) into .venv; once, a minute or two …"; \
	  { $(PY) -m pip install --disable-pip-version-check --no-compile --require-hashes -r $(1) && cp $(1) $(2) .venv/; } 2>&1 \
	    | tee .venv/install.log | awk '/^Collecting/ && ++n % 20 == 0 { print "  " n " packages"; fflush() }'; \
	  cmp -s $(1) .venv/$(1) || { tail -n 20 .venv/install.log; exit 1; }; }
endef

install: venv
	$(call install,requirements.txt,)

install-dev: venv
	$(call install,requirements-dev.txt,requirements.txt)

venv:
	@$(PY) -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.11"; exit 1; }; \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed and $(PYTHON) is $$($(PYTHON) -V 2>&1): name a newer one: make PYTHON=/path/to/python3.11"; exit 1; }; \
	  $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv is missing: install the package python3-venv (Debian, Ubuntu: apt install python3-venv)"; exit 1; }; \
	  echo "Making .venv with $$($(PYTHON) -V)"; \
	  $(PYTHON) -m venv --clear .venv; }
