# The front door. `make help` lists what there is.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
# The folder of all that is made, so that a file may be asked for in it.
TOE := mkdir -p out && $(CARGO) run --release -p toe-host --bin toe --
ARGS ?=

.PHONY: help demo test soak scripts fuzz check format lint doc tools sim verilog synth bench snapshots clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: ## the main job: a file through the simulated engine to a TCP peer and back (needs cargo only)
	$(TOE) demo $(ARGS)

test: tools ## every test (needs cargo, a C++ compiler, Python 3)
	$(CARGO) test --locked --workspace

soak: tools ## the long tests, which `make test` leaves out for the reasons listed first
	@awk '/^ *#\[ignore = /{ sub(/^ *#\[ignore = "/, ""); sub(/"\]$$/, ""); why = $$0 } \
		/fn .*\(/ && why { sub(/^ *fn /, ""); sub(/\(.*/, ""); print "  " $$0 ": " why; why = "" }' \
		$$(grep -rl --include='*.rs' '#\[ignore = ' hdl sim bsp host testbench)
	$(CARGO) test --locked --release --workspace --lib --bins --tests --no-fail-fast -- --ignored --nocapture --test-threads 1

scripts: tools ## the packet scripts of the usual configuration on the Verilog, too, beside the model (minutes)
	TOE_SCRIPTS=verilog $(CARGO) test --locked -p toe-hdl --lib -- program::

fuzz: tools ## each fuzz target for FUZZ_SECONDS (300), from the seeds kept (needs the nightly toolchain)
	testbench/fuzz/run.sh $(or $(FUZZ_SECONDS),300) $(ARGS)

check: format lint doc test scripts ## what CI runs: format, clippy, docs, tests, the packet scripts on the Verilog, synthesis of the Alchitry Cu top
	$(TOE) synth --board alchitry-cu $(ARGS)

format: ## the formatting is right
	$(CARGO) fmt --all --check

lint: ## clippy has nothing to say
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

doc: ## the documentation builds without warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps

tools: ## the pinned synthesis and simulation tools, into .tools/
	@sim/tools/setup.sh

sim: tools ## the simulated board on a real network: make sim ARGS="--tap toe0 --ip 192.168.69.2/24"
	$(TOE) sim $(ARGS)

verilog: ## the Verilog and the register map, into out/verilog
	$(TOE) verilog $(ARGS)

synth: tools ## a bitstream with area, memory and Fmax: make synth ARGS="--board alchitry-cu"
	$(TOE) synth $(ARGS)

bench: tools ## every figure, beside its bar
	$(TOE) bench $(ARGS)

snapshots: ## regenerate the insta snapshots (then read the diff)
	INSTA_UPDATE=always $(CARGO) test --workspace

clean: ## remove everything that was built
	$(CARGO) clean
	rm -rf .tools out
