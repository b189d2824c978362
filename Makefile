# The contract: demo, up, test, bench. Everything else is cargo or a file in scripts/.
# `make install` is the first step of each; it is quick where nothing is missing.

SHELL := /bin/bash
# A software TPM that scripts/install.sh unpacks without root, maybe only now, stands in front of the system's.
export PATH := $(CURDIR)/.tools/bin:$(PATH)
BINARIES := --package sealwright --package facade --package middle --package hello

.PHONY: help install build demo up test soak api browser second-verifier bench fuzz lint clean-tools

help:            ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

install:         ## what a bare Debian 12 with Rust lacks (says what, and what to do without root)
	@scripts/install.sh demo

build: install   ## the programs, unoptimised
	cargo build $(BINARIES)

demo: install    ## the whole story, told by real attempts; exits 0
	@$(MAKE) --no-print-directory build
	@scripts/run.sh demo

up: install      ## all parts in one process, until Ctrl-C (ARGS="--listen 127.0.0.1:8443 --database postgres://…")
	@$(MAKE) --no-print-directory build
	@scripts/run.sh up $(ARGS)

test:            ## every test
	@scripts/install.sh test
	@scripts/test.sh

soak:            ## a thousand kill -9 at random moments (KILLS=1000)
	@scripts/install.sh demo
	@scripts/soak.sh $(if $(KILLS),$(KILLS),1000)

browser: build   ## the pages in a real browser, against the real programs (PICTURES=FOLDER keeps screenshots)
	@scripts/install.sh test
	@scripts/browser.sh

second-verifier: ## the Python verifier against the committed vectors
	@scripts/second-verifier.sh

bench:           ## the figures, ratios first, machine facts beside them
	@scripts/install.sh bench
	@scripts/bench.sh

fuzz:            ## every fuzz target, for hours (SECONDS_EACH=3600)
	@scripts/install.sh fuzz
	@scripts/fuzz.sh $(if $(SECONDS_EACH),$(SECONDS_EACH),3600)

api:             ## the API over real programs: schemathesis (SECONDS_EACH=60) and newman
	@scripts/install.sh test
	@$(MAKE) --no-print-directory build
	@scripts/schemathesis.sh $(if $(SECONDS_EACH),$(SECONDS_EACH),60)
	@scripts/newman.sh

lint:            ## what CI checks before it tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo xtask tidy
	cargo xtask codegen --check

clean-tools:     ## forgets a software TPM that was unpacked without root
	rm -rf .tools
