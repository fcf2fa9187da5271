# The two commands a newcomer needs are `make demo` and `make test`; both set everything up themselves.
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: demo test check format lock clean

demo: $(VENV)/.ready
	$(VENV)/bin/fencewalk demo --out demo

test: check
	$(PY) -m pytest -n 2
	tools/check-wheel $(PY)

check: $(VENV)/.ready
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.ready
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

$(VENV)/.ready: requirements.lock pyproject.toml tools/make-venv
	tools/make-venv $(VENV)
	$(PY) -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(PY) -m pip install --quiet --no-deps --editable .
	touch $@

# Renews the pinned versions; needs uv.
lock:
	uv pip compile pyproject.toml --group dev --python-version 3.11 --generate-hashes --universal \
	  --upgrade --quiet -o requirements.lock

clean:
	rm -rf $(VENV) demo build dist *.egg-info
