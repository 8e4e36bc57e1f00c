# make          what there is
# make test     everything that must hold before a change goes in
# make demo     the main job, on this machine alone, with its own identity provider

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The two modules and nothing around them: no go.work further up, no version
# control stamp (it fails where the clone belongs to another user).
export GOWORK := off
export GOFLAGS := $(strip $(filter-out -buildvcs=%,$(GOFLAGS)) -buildvcs=false)

# A process with the race detector sleeps a second before it ends, and tests end a
# thousand of them: what it waits for, they have waited for themselves.
export GORACE := atexit_sleep_ms=10 $(GORACE)

CACHE := $(CURDIR)/.cache
BIN := $(CACHE)/bin
TALLY := $(CACHE)/tally
export GATEHOUSE_TALLY := $(TALLY)

# Without cgo and with trimmed paths, as xcaddy builds: Caddy's many packages
# are compiled once for build, vet, lint and xcaddy together.
PLAIN := CGO_ENABLED=0 GOFLAGS="$(GOFLAGS) -trimpath"
TESTSUM := $(BIN)/gotestsum --format standard-quiet --post-run-command dev/tools/tally.sh
# The race detector needs cgo.
RACE := CGO_ENABLED=1 $(TESTSUM)
# `make compile` has vetted everything, with all analyzers: to vet again what Caddy's
# packages say of themselves, built with -race, takes minutes on a new machine.
RACEFLAGS := -race -vet=off -count=1 -timeout=30m

# What is about a large number takes minutes under the race detector and seconds without;
# what it says about concurrency a small number says, too, in the unit tests.
LARGE := $(patsubst %/,./%,$(dir $(wildcard */large_test.go */*/large_test.go)))

# These begin, or they run alone at the end. Their tests wait for gateways more than they
# compute: more packages at once than there are cores.
LONGEST := ./test/integration ./test/attack ./test

# Real servers run beside the gateway: without the race detector, as users build.
INTEROP := cd dev && $(BIN)/gotestsum --format testname --post-run-command tools/tally.sh -- -tags=interop -vet=off -count=1 -timeout=30m \
	-exec='env CGO_ENABLED=0 GOFLAGS=-trimpath'

# Several gateways with one Redis: as users build them, too. What they measure goes
# into a file, as the test runner shows what failing tests say only.
CLUSTER := $(subst -timeout=30m,-timeout=60m,$(subst -tags=interop,-tags=cluster,$(INTEROP)))
FIGURES := $(CACHE)/cluster/figures.md

FUZZTIME ?= 10m
BENCHCOUNT ?= $(if $(SHORT),1,6)
BENCHFLAGS ?= $(if $(SHORT),-short)

##@ Every day

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: ## Walk through the main job with the embedded identity provider (CI=1: end by itself)
	@mkdir -p $(BIN)
	@cd dev && CGO_ENABLED=0 go build -trimpath -o $(BIN)/ ./cmd/gatehouse-dev ./cmd/gatehouse-demo
	@cd dev && exec $(BIN)/gatehouse-demo $(if $(CI),-ci)

.PHONY: test
test: ## Check everything: build, vet, lint, all tests, most with -race, short fuzzing, xcaddy
	@rm -rf $(TALLY) && mkdir -p $(TALLY)
	@$(MAKE) needs
	@$(MAKE) compile
	@$(MAKE) lint
	@$(MAKE) unit
	@$(MAKE) large
	@$(MAKE) dev-test
	@$(MAKE) integration
	@$(MAKE) fuzz-short
	@$(MAKE) xcaddy
	@dev/tools/tally.sh sum

.PHONY: unit
unit: needs $(BIN)/gotestsum ## Run the unit tests of every package with -race
	@echo "== unit tests"
	@# Many of them wait, for a server or for the end of a life: more at once than there are processors.
	@$(RACE) -- $(RACEFLAGS) -parallel=8 $$(go list ./... | grep -v '/gatehouse/test\(/\|$$\)')

.PHONY: large
large: needs $(BIN)/gotestsum ## Run the tests of large numbers without the race detector
	@echo "== tests of large numbers"
	@$(PLAIN) $(TESTSUM) -- -count=1 -timeout=30m -run='^TestLarge' $(LARGE)

.PHONY: integration
integration: needs $(BIN)/gotestsum ## Run adapt, integration, reload, import and attack tests with -race
	@echo "== adapt, integration, import and attack tests"
	@$(RACE) -- $(RACEFLAGS) -p=4 -parallel=4 $(LONGEST) ./test/...

.PHONY: lint
lint: $(BIN)/golangci-lint ## Lint both modules
	@echo "== lint"
	@$(PLAIN) $(BIN)/golangci-lint run --allow-parallel-runners ./...
	@cd dev && $(PLAIN) $(BIN)/golangci-lint run --allow-parallel-runners ./...

.PHONY: fmt
fmt: $(BIN)/golangci-lint ## Format both modules
	@$(BIN)/golangci-lint fmt ./...
	@cd dev && $(BIN)/golangci-lint fmt ./...

.PHONY: build
build: ## Build bin/caddy: Caddy with Gatehouse
	CGO_ENABLED=0 go build -trimpath -buildvcs=auto -o bin/caddy ./cmd/caddy

.PHONY: clean
clean: ## Remove what was built here (Go's own caches stay)
	rm -rf bin .cache

##@ Slow

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (default 10m) each
	@dev/tools/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: $(BIN)/benchstat ## Measure: parts BENCHCOUNT (default 6) times, then the gateway beside bare Caddy (SHORT=1: a first look)
	@mkdir -p $(CACHE)/bench
	@$(PLAIN) go test -run='^$$' -bench=. -benchmem -count=$(BENCHCOUNT) \
		$$(go list ./... | grep -v '/gatehouse/test\(/\|$$\)') | tee $(CACHE)/bench/latest.txt
	@cd $(CACHE)/bench && $(BIN)/benchstat latest.txt
	@cd dev && $(PLAIN) go run ./bench $(BENCHFLAGS)

.PHONY: interop
interop: needs $(BIN)/gotestsum ## Run the gateway with real servers, which it installs (SHORT=1: the main job with each)
	@echo "== interop"
	@dev/interop/keycloak/install.sh $(CACHE)/interop
	@dev/interop/node/install.sh
ifdef SHORT
	@$(INTEROP) -run='^(TestTokens|TestLightweight|TestExchange|TestBackchannelLogout)$$' ./interop/keycloak
	@$(INTEROP) ./interop ./interop/node ./interop/mcp ./interop/clients ./interop/zitadel
else
	@$(INTEROP) ./interop/...
endif

.PHONY: cluster
cluster: needs $(BIN)/gotestsum ## Run three gateways with one Redis: revoke, cut off, kill, restart (SHORT=1: few rounds)
	@echo "== cluster"
	@dev/cluster/needs.sh
	@rm -f $(FIGURES)
	@cd dev && $(PLAIN) go build -o /dev/null ./cmd/gatehouse-dev
	@export GATEHOUSE_CLUSTER_SHORT=$(SHORT) GATEHOUSE_CLUSTER_FIGURES=$(FIGURES); $(CLUSTER) ./cluster
	@$(PLAIN) go test -run='^$$' -bench='^Benchmark(Check|Find)$$' -benchmem $(if $(SHORT),-benchtime=100000x) ./revocation
	@$(PLAIN) go test -run='^$$' -bench='^BenchmarkMemory$$' -benchtime=1x ./revocation
	@cat $(FIGURES)

##@ Steps of make test

.PHONY: needs
needs: ## Install what tests need (gcc for the race detector, redis-server), if it is missing
	@dev/tools/needs.sh

.PHONY: compile
compile: ## Compile both modules without cgo, and vet them
	@echo "== build and vet"
	@$(PLAIN) go build ./...
	@$(PLAIN) go vet -tags xcaddy ./...
	@cd dev && $(PLAIN) go build ./...
	@cd dev && $(PLAIN) go vet -tags interop,cluster ./...

.PHONY: dev-test
dev-test: needs $(BIN)/gotestsum ## Run the tests of the dev module with -race
	@echo "== dev tests"
	@cd dev && $(subst dev/tools,tools,$(RACE)) -- $(RACEFLAGS) ./...

.PHONY: fuzz-short
fuzz-short: ## Fuzz every target with 5000 inputs
	@echo "== short fuzzing"
	@dev/tools/fuzz.sh 5000x short

.PHONY: xcaddy
xcaddy: needs $(BIN)/gotestsum $(BIN)/xcaddy ## Build with xcaddy from the working tree and serve one request
	@echo "== xcaddy"
	@XCADDY=$(BIN)/xcaddy $(PLAIN) $(TESTSUM) -- -vet=off -count=1 -timeout=30m -tags=xcaddy -run='^TestXcaddy' ./test

# The tools are pinned in dev/tools/go.mod, a module of its own. They are built
# again when a pin or the Go release changes, by content and not by date: a
# fresh checkout has new dates everywhere.
TOOLS_ID := $(shell { go version; cat dev/tools/go.mod dev/tools/go.sum; } | sha256sum | cut -c1-16)
STAMP := $(BIN)/.tools-$(TOOLS_ID)

$(STAMP):
	@mkdir -p $(BIN)
	@rm -f $(BIN)/.tools-* && touch $@

$(BIN)/%: $(STAMP)
	@echo "building $* (dev/tools/go.mod)"
	@cd dev/tools && CGO_ENABLED=0 go build -trimpath -o $@ "$$(go list tool | grep '/$*$$')"
	@touch $@
