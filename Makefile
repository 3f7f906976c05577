# What can be done here. Each target installs what it lacks (.ci/setup), so each works all by itself from a fresh clone.

.DEFAULT_GOAL := help
.PHONY: help build run test simulate bench bench-calls bench-durable protos check-protos format

# One file that needs nothing of Swift on the machine where it runs. Exclusive access to memory is checked by the
# compiler, and at run time in debug builds, so in all Swift tests; in the release it would be a tenth of a call's cost.
BUILD := swift build -c release --static-swift-stdlib -Xswiftc -enforce-exclusivity=unchecked

PYTHON := $(CURDIR)/.venv/bin/python
AGENTKEEPER := $(CURDIR)/.build/release/agentkeeper

help:            ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

build:           ## the release binary, .build/release/agentkeeper
	.ci/setup build
	$(BUILD) --product agentkeeper

run: build       ## build and serve; flags in ARGS, as in make run ARGS=--addr=:7070
	.build/release/agentkeeper $(ARGS)

test: build      ## everything that CI checks
	.ci/setup test
	$(MAKE) check-protos
	swift format lint --strict --recursive Package.swift Sources Tests
	AGENTKEEPER_PYTHON="$(PYTHON)" PATH="$$PATH:$(CURDIR)/.venv/bin" swift test --skip AgentKeeperTests --skip SimulationTests
	swift test --skip-build --filter SimulationTests
	$(ABREAST) AGENTKEEPER_BIN="$(AGENTKEEPER)" AGENTKEEPER_PYTHON="$(PYTHON)" swift test --skip-build --filter AgentKeeperTests
	AGENTKEEPER_BIN="$(AGENTKEEPER)" swift test --package-path Tests/ExamplePackage --scratch-path .build/example
	swift package generate-documentation --target AgentKeeper --warnings-as-errors
	.venv/bin/python -m pytest -q Tests/WireTests
	.venv/bin/python -m pytest -q Tests/ContractTests
	AGENTKEEPER_TEST_DATA_DIR=1 .venv/bin/python -m pytest -q Tests/ContractTests
	.venv/bin/python -m pytest -q Tests/CrashTests
	.venv/bin/python -m pytest -q Tests/CommandLineTests
	.venv/bin/python -m pytest -q Tests/OperationsTests
	.venv/bin/python -m pytest -q Tests/DashboardTests

# The SDK's tests start a daemon each: not all at once, or each would wait for all.
ABREAST := SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=16

# Of the same modules as the daemon, built as the daemon is. SEEDS=COUNT, SEED=FIRST and STEPS=COUNT are all optional.
simulate:        ## try to break core and journal: make simulate SEEDS=100000
	.ci/setup build
	$(BUILD) --product simulate
	.build/release/simulate $(foreach name,SEEDS SEED STEPS TRACE,$(if $($(name)),$(name)=$($(name))))

bench:           ## speed: both of these; flags in ARGS, as in make bench ARGS=--quick
	$(MAKE) bench-calls
	$(MAKE) bench-durable

bench-calls: build    ## the cost of calls, beside nghttpd
	.ci/setup bench
	Tests/Bench/bench $(ARGS)

bench-durable: build  ## durable locks, beside Redis and etcd on one disk
	.ci/setup bench
	Tests/Bench/durable $(ARGS)

protos:          ## renew Sources/CMessages after a change in protos/
	.ci/setup test
	protos/generate Sources/CMessages

check-protos:    ## is Sources/CMessages what protos/ makes?
	protos/generate .build/CMessages
	diff -r -x module.modulemap .build/CMessages Sources/CMessages

format:          ## lay out the Swift sources
	swift format --in-place --recursive Package.swift Sources Tests
