# make demo: produce to and consume from a real Kafka    make test: all tests, every interpreter found here
.POSIX:
.PHONY: help demo dashboard test unit integration pypy lint docs bench matrix churn faults sweep setups soak fuzz fuzz-native faithful clean

PYTHON = python3
VENV = .venv
BIN = $(VENV)/bin

help:
	@echo "make demo         start a real Kafka, produce to it and consume from it"
	@echo "make dashboard    start a real Kafka and a page that shows its topic live; DASHBOARD=\"--port 9000\" ..."
	@echo "make test         unit tests in every supported Python found, then tests against real brokers"
	@echo "make unit         the first half of it; make integration the second"
	@echo "make pypy         unit tests in PyPy 3"
	@echo "make lint         flake8, branches counted, and Python 2's own compiler where there is one"
	@echo "make docs         the documentation, into docs/_build/html"
	@echo "make bench        kiel beside other clients on one broker, and alone; BENCH=\"--python27 PATH\" ..."
	@echo "make matrix       every Kafka release on two Pythons; writes the table into README.rst"
	@echo "make churn        a group whose members come, go, die and stand still for five minutes; CHURN=\"--seed 7\" ..."
	@echo "make faults       kill, pause and cut real clusters, and count what came through; writes docs/faults.rst"
	@echo "make sweep        every error code in every answer, to every client; writes docs/sweep.rst"
	@echo "make setups       every mistake in TLS, logins, proxies and addresses, and its error; writes docs/setups.rst"
	@echo "make soak         ten minutes of steady work, memory watched; an hour: make soak FOR=3600"
	@echo "make fuzz         ten minutes of hostile bytes; longer: make fuzz FOR=3600"
	@echo "make faithful     what applications of 2016 did, on PyPI's kiel 0.9.3 and on this one, side by side"
	@echo "make fuzz-native  the same of the loops in C, built with address and undefined-behaviour sanitizers"
	@echo "make clean        remove what was made (jars in the user's cache stay)"

# one virtualenv for everything but the tests, made once and again when setup.py changes
$(VENV)/.made: setup.py kiel/speedups.c
	@echo "-- making $(VENV) with $$($(PYTHON) --version) (once, about half a minute)"
	@$(PYTHON) -m venv $(VENV) || { \
	    echo "python3 -m venv failed; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[all]"
	@touch $@

$(VENV)/.tools: $(VENV)/.made
	@echo "-- adding flake8, Sphinx and pytest to $(VENV) (once)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check flake8 sphinx furo pytest
	@touch $@

demo: $(VENV)/.made
	@$(BIN)/python examples/demo.py

# options in DASHBOARD: python examples/dashboard --help
dashboard: $(VENV)/.made
	@$(BIN)/python examples/dashboard $(DASHBOARD)

# KIEL_JOBS=2 runs two environments side by side, which shows their output only when they fail, and has two processes share
# the tests against brokers on Python 3.13
test:
	@$(PYTHON) tools/test_all.py --jobs "$${KIEL_JOBS:-1}"

unit:
	@$(PYTHON) tools/test_all.py --unit

integration:
	@$(PYTHON) tools/test_all.py --integration

# no part of `make test`: it costs minutes and finds little that CPython does not
pypy:
	@command -v pypy3 >/dev/null || { echo "there is no pypy3 on PATH; on Debian and Ubuntu: apt-get install pypy3"; exit 1; }
	@$(PYTHON) tools/test_all.py pypy3

lint: $(VENV)/.tools
	$(BIN)/python -m flake8
	$(BIN)/python tools/branches.py
	@if python2.7 -c "" 2>/dev/null; then echo "python2.7 -m compileall -q kiel examples"; \
	    PYTHONDONTWRITEBYTECODE= python2.7 -m compileall -q kiel examples; \
	    else echo "-- no python2.7 on PATH: its syntax is not checked here"; fi

docs: $(VENV)/.tools
	$(BIN)/python -m sphinx -q -W -n -b html docs docs/_build/html
	@echo "-- docs/_build/html/index.html"

# options in BENCH: python -m benchmarks.compare --help; parts of it alone: python -m benchmarks.delay, .growth, .through ...
bench: $(VENV)/.made
	@echo "-- adding the clients that kiel is held against to $(VENV)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check kafka-python python-snappy aiokafka confluent-kafka matplotlib
	$(BIN)/python -m benchmarks.compare --rounds 3 --write docs $(BENCH)

matrix: $(VENV)/.made
	@$(BIN)/python tools/matrix.py

sweep: $(VENV)/.tools
	@$(BIN)/python -m tests.sweep docs/sweep.rst

setups: $(VENV)/.tools
	@$(BIN)/python -m tests.setups docs/setups.rst

# both protocols; options in CHURN: python -m tests.churn --help
churn: $(VENV)/.made
	$(BIN)/python -m tests.churn --protocol classic $(CHURN)
	$(BIN)/python -m tests.churn --protocol consumer $(CHURN)

# KAFKA, MESSAGES and FAULTS choose less than all of it, which takes about half an hour
faults: $(VENV)/.made
	@$(BIN)/python -m tests.faults.run --write $${KAFKA:+--kafka "$$KAFKA"} $${MESSAGES:+--messages "$$MESSAGES"} \
	    $${FAULTS:+--faults "$$FAULTS"}
	@$(BIN)/python -m tests.faults.down

soak: $(VENV)/.made
	@$(BIN)/python -m tests.faults.soak --seconds "$${FOR:-600}"

fuzz: $(VENV)/.made
	@$(BIN)/python -m tests.fuzz.run --seconds "$${FOR:-600}" --findings tests/cases

fuzz-native: $(VENV)/.tools
	@$(BIN)/python -m tests.fuzz.native --seconds "$${FOR:-600}"

# needs python2.7 on PATH for 0.9.3
faithful: $(VENV)/.made
	@$(BIN)/python -m pip install -q --disable-pip-version-check "virtualenv<20.22"
	@$(BIN)/python tools/faithful.py $(FAITHFUL)

clean:
	rm -rf $(VENV) .tox .cache build dist docs/_build kiel.egg-info .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name '*.pyc' -delete
	rm -f kiel/_speedups*.so
