# The front door. Everything real is in scripts/ and CMake; `make help` lists the targets.
.DEFAULT_GOAL := help
PRESET ?= release
BUILD := build/$(PRESET)
JOBS ?= $(shell nproc)

.PHONY: help setup build run test bench mutants lint clean asan tsan

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: ## install the Debian packages that building and testing need (root or sudo; idempotent)
	@scripts/setup.sh
	@scripts/setup-web.sh

build: ## build build/release/roadstead (PRESET=dev|release|asan|tsan)
	@test -f $(BUILD)/build.ninja || cmake --preset $(PRESET)
	@ninja -C $(BUILD) -j $(JOBS)

run: setup build ## set up, build and start Roadstead with the example bank; prints the console's address
	@scripts/run.sh $(BUILD)

test: setup build ## set up, build and run all tests
	@ctest --test-dir $(BUILD) -j $(JOBS) --output-on-failure --timeout 600

bench: build ## compare with the peers (etcd, …) and print ratios
	@bench/run.sh $(BUILD)

mutants: ## put etcd's known bugs back into a copy of the sources: each one's test must fail (ONLY=text)
	@tests/mutants/run.py --build-jobs $(JOBS) $(if $(ONLY),--only $(ONLY))

asan: ## build and test with AddressSanitizer and UBSan
	@$(MAKE) --no-print-directory test PRESET=asan

tsan: ## build and test with ThreadSanitizer
	@TSAN_OPTIONS=die_after_fork=0 $(MAKE) --no-print-directory test PRESET=tsan  # crash tests fork, then start threads

lint: ## clang-format and clang-tidy over the sources that changed since main (ALL=1: all)
	@scripts/lint.sh $(BUILD) $(ALL)

clean: ## remove build output
	@rm -rf build web/dist
