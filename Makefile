# The two commands a newcomer needs are `make demo` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
JOBS  ?= $(shell nproc)
PRESET ?= release
BUILD := $(if $(filter release,$(PRESET)),build,build-$(PRESET))
PREFIX ?= /usr/local
CUDA_ARCH ?= 90
FUZZ_SECONDS ?= 60
SOURCES = $(shell git ls-files '*.cc' '*.h' '*.cu' '*.cuh')

.PHONY: help setup source configure build cuda model demo demo-robot test nightly fuzz bench bench-quick bench-shapes conformance peer format tidy check-arch install clean

help:            ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup:           ## install what the build needs (Debian packages)
	@tools/setup.sh

source:          ## fetch the pinned source of llama.cpp, checked by its hash
	@tools/fetch_llama_cpp.sh

configure: setup source
	@cmake --preset $(PRESET)

build: configure ## build the program: build/reprise
	@cmake --build $(BUILD) -j $(JOBS)

cuda: setup source ## build it and its GPU tests with CUDA, half an hour: build-cuda/reprise; CUDA_ARCH=90
	@cmake --preset cuda -DCUDA_ARCH=$(CUDA_ARCH)
	@cmake --build build-cuda -j $(JOBS) --target reprise cuda_tests

model: build     ## fetch the chat model of the demo and the tests, checked by its hash
	@$(BUILD)/reprise pull smollm2

demo: model      ## ask SmolLM2 about a long text, with the KV cache held to a budget
	@tools/demo.sh

demo-robot: build ## a diffusion policy pushes a T into place: build/push_full.mp4, build/push_bac.mp4
	@tools/demo_robot.sh

test: model      ## build and run every test but the nightly ones
	@ctest --test-dir $(BUILD) --output-on-failure -j 2 -LE nightly

nightly: model   ## every test, long texts and a larger model too; REPRISE_TEST_GEMMA=1 adds Gemma 3
	@$(BUILD)/reprise pull qwen2.5-coder-0.5b
	@ctest --test-dir $(BUILD) --output-on-failure -j 2

fuzz: setup source ## fuzz the reading of model files, with clang: FUZZ_SECONDS=60, finds in build-fuzz
	@tools/setup.sh fuzz
	@cmake --preset fuzz
	@cmake --build --preset fuzz -j $(JOBS)
	@mkdir -p build-fuzz/corpus
	@build-fuzz/src/nets/gguf_file_fuzz -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -artifact_prefix=build-fuzz/ build-fuzz/corpus tests/fuzz/gguf

peer: configure  ## build libllama with OpenMP as a second peer of the benches: build/reprise_peer
	@cmake --build $(BUILD) -j $(JOBS) --target reprise_peer

bench: model peer ## measure against libllama and the bound: about 35 minutes on two quiet cores
	@$(BUILD)/reprise bench kv --peer-openmp --json $(BUILD)/bench_kv.json --html $(BUILD)/bench_kv.html

bench-quick: model ## the same with fewer policies and shorter contexts, in under two minutes
	@$(BUILD)/reprise bench kv --quick --json $(BUILD)/bench_kv.json --html $(BUILD)/bench_kv.html

bench-shapes: model peer ## the same on random models of 0.5B and 1B shape, Q4_0 and F16: about an hour, 3.8 GB in build/shapes
	@cmake --build $(BUILD) -j $(JOBS) --target make_shaped_model
	@BUILD=$(BUILD) tools/bench_shapes.sh

conformance: configure ## compare Push-T with Chipmunk over 100 episodes of its expert: 4 s once built, build/conformance.json
	@cmake --build $(BUILD) -j $(JOBS) --target pusht_conformance
	@$(BUILD)/bench/pusht_conformance 100 --json $(BUILD)/conformance.json

format:          ## format every source file
	@clang-format -i $(SOURCES)

tidy: configure  ## clang-format check and clang-tidy over our own files
	@clang-format --dry-run --Werror $(SOURCES)
	@git ls-files '*.cc' | xargs -P $(JOBS) -n 4 clang-tidy -p $(BUILD) --quiet

check-arch: configure ## compile the kernels for aarch64, which no test here runs
	@tools/check_arch.sh $(BUILD)/third_party/*/vendor/llama.cpp

install: build   ## install program, man page, completion, models, library: PREFIX=/usr/local
	@cmake --install $(BUILD) --prefix $(PREFIX) >/dev/null && echo "installed under $(PREFIX)"

clean:           ## remove every build folder
	@rm -rf build build-*
