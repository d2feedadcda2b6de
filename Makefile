# All commands for people and CI. `make serve` and `make test` need only git, make and Python 3.11 or later.

PYTHON      ?= python3
PORT        ?=
PYTEST_ARGS ?=
BENCH_ARGS  ?=
# Rounds of each race, and kills of the server, on each database (`make faults`).
ROUNDS      ?= 200
KILLS       ?= 200
# Hostile requests over all contracts and both databases (`make fuzz`).
REQUESTS    ?= 100000
# Test processes at a time; on two cores, as half of the tests wait.
JOBS        ?= 5

VENV    := .venv
BIN     := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes

# Hundreds of processes would compile everything anew: a third of the time of `make test`.
unexport PYTHONDONTWRITEBYTECODE

# A virtual environment contains its own path: rebuild it in a checkout that was moved or copied.
ifneq ($(shell cat $(VENV)/.home 2>/dev/null),$(CURDIR))
$(VENV)/.made: remake
endif

# So does one of another interpreter than PYTHON names, if it names one.
ifneq ($(origin PYTHON),file)
ifneq ($(shell cat $(VENV)/.python 2>/dev/null),$(shell $(PYTHON) -c 'import sys; print(sys.base_prefix, sys.version.split()[0])' 2>/dev/null))
$(VENV)/.made: remake
endif
endif

.PHONY: serve test quick faults fuzz mutants lint types docs bench lock release clean remake
.DEFAULT_GOAL := serve

serve: $(VENV)/.serve
	@exec $(BIN)/dragoman serve $(if $(PORT),--port $(PORT))

test: $(VENV)/.dev
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

# The fast tests, for use while editing: SQLite only; without faults, attacks, fuzzing, schemathesis,
# the permission tables, and anything that starts a server or a command of its own or waits.
QUICK_WITHOUT := tests/attack tests/faults tests/fuzz tests/mutants tests/cli tests/deploy tests/authorization tests/test_benchmarks.py \
                 tests/house/test_new_dialect.py tests/house/test_attack_surface.py tests/web/test_docs.py \
                 tests/store/test_migrations.py tests/store/test_upgrade.py tests/jobs/test_mail_delivery_failures.py \
                 $(addprefix tests/dialects/test_,state_machine.py one_directory.py every_contract.py) \
                 tests/dialects/vsay/test_accept_page.py tests/dialects/wiwebb/test_password_resets.py
quick: JOBS = 3
quick: $(VENV)/.dev
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not postgresql and not faults" \
		$(addprefix --ignore=,$(QUICK_WITHOUT)) --ignore-glob='*/test_clients.py' --ignore-glob='*/test_schemathesis.py' \
		$(PYTEST_ARGS)

# The fault tests of `make test` with the numbers above: half an hour on two cores.
faults: $(VENV)/.dev
	@$(BIN)/python -m tests.support.postgresql_bouncer
	@$(BIN)/python -m tests.support.patroni.programs
	@FAULT_ROUNDS=$(ROUNDS) FAULT_KILLS=$(KILLS) FAULT_FAILOVERS=5 FAULT_RESTARTS=5 FAULT_STAGES=all FAULT_SHARE=1 FAULT_COMMAND=installed \
		$(BIN)/python -m pytest -m faults -n 2 --dist worksteal -rP tests/faults tests/attack $(PYTEST_ARGS)

# Mutation tests of the modules that guard the rest (docs/mutants.md). MUTANTS selects modules.
MUTANTS ?=
mutants: $(VENV)/.dev
	@$(BIN)/python -m tests.mutants $(MUTANTS)

# The fuzz tests of `make test` with the number above and a new seed; FUZZ_SEED=… repeats a run.
fuzz: $(VENV)/.dev
	@seed=$${FUZZ_SEED:-$$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}; echo "FUZZ_SEED=$$seed"; \
		FUZZ_REQUESTS=$(REQUESTS) FUZZ_SEED=$$seed $(BIN)/python -m pytest -n 2 --dist worksteal -rP -o timeout=7200 tests/fuzz $(PYTEST_ARGS)

lint: $(VENV)/.dev
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo "make lint: run '$(BIN)/ruff format'" >&2; exit 1; }
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml
	@$(BIN)/python .ci/audit.py requirements.lock requirements-dev.lock

types: $(VENV)/.dev
	@$(BIN)/basedpyright --pythonpath $(BIN)/python

docs: $(VENV)/.serve
	@$(BIN)/python -m dragoman.rules.policy_page > docs/policy.md.new && mv docs/policy.md.new docs/policy.md
	@$(BIN)/python -m tests.authorization.pages docs/permissions
	@$(BIN)/python -m dragoman.cli.reference > docs/cli.md.new && mv docs/cli.md.new docs/cli.md

bench: $(VENV)/.bench
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

# Update the lock files. `make lock LOCK_ARGS=--upgrade` takes the newest versions that pyproject.toml allows.
LOCK_ARGS ?=
COMPILE    = CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
             --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options
lock: $(VENV)/.dev
	@$(COMPILE) $(LOCK_ARGS) --build-deps-for editable -o requirements.lock pyproject.toml
	@$(COMPILE) $(LOCK_ARGS) --build-deps-for editable --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml
	@$(COMPILE) $(LOCK_ARGS) -c requirements-dev.lock -o benchmarks/requirements.lock benchmarks/requirements.in
	@$(COMPILE) $(LOCK_ARGS) -o benchmarks/fastapi_peer/requirements.lock benchmarks/fastapi_peer/requirements.in
	@$(COMPILE) $(LOCK_ARGS) -o tests/support/patroni/requirements.lock tests/support/patroni/requirements.in

# Makes dist/ and a tag after `.ci/run` has passed; pushes nothing.
release: $(VENV)/.dev
	@$(BIN)/python .ci/release.py "$(VERSION)"

clean:
	@rm -rf $(VENV) .venvs dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "make: $(PYTHON) is `$(PYTHON) --version 2>&1`; Dragoman needs Python 3.11 or later (make PYTHON=python3.12 ...)" >&2; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) || { \
		echo "make: '$(PYTHON) -m venv' failed; on Debian and Ubuntu: apt install python3-venv" >&2; rm -rf $(VENV); exit 1; }
	@echo "$(CURDIR)" > $(VENV)/.home
	@$(BIN)/python -c 'import sys; print(sys.base_prefix, sys.version.split()[0])' > $(VENV)/.python
	@touch $@

$(VENV)/.serve: $(VENV)/.made requirements.lock pyproject.toml
	@echo "installing requirements.lock into $(VENV)" >&2
	@$(INSTALL) -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-index --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.serve requirements-dev.lock
	@echo "installing requirements-dev.lock into $(VENV)" >&2
	@$(INSTALL) -r requirements-dev.lock
	@touch $@

$(VENV)/.bench: $(VENV)/.dev benchmarks/requirements.lock
	@$(INSTALL) -r benchmarks/requirements.lock
	@touch $@

remake: ;
