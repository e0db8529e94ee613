# Each target sets up what it needs. PYTHON picks the interpreter (3.11 to 3.13; the pins were tried on 3.11).
PYTHON ?= $(firstword $(foreach version,3.11 3.12 3.13,$(shell command -v python$(version))) python3)
BIN := .venv/bin
INSTALLED := .venv/.installed
ORTHANC_PACKAGES := orthanc orthanc-python orthanc-dicomweb
# NodeSource's nodejs brings npm along and does not go with Debian's.
NODE_PACKAGES := $(if $(shell command -v npm),,nodejs npm)
TEST_PACKAGES := $(ORTHANC_PACKAGES) postgresql dcmtk chromium g++ $(NODE_PACKAGES) \
	pixelmed-apps libpixelmed-java openjdk-17-jre-headless

OHIF_VERSION := 3.13.2
MINBASE := $(if $(filter 0,$(shell id -u)),build/minbase)
OHIF := build/ohif-app/.$(OHIF_VERSION)

.PHONY: help setup lock demo test check docs tour map sbom images image conformance bench bench-packs bench-pages bench-registration fuzz faults load newer-orthanc demo-model clean
help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(INSTALLED) ## Make .venv with the locked packages, each held against its digest

LOCKS := requirements.lock requirements-torch.lock requirements-cuda.lock

$(INSTALLED): $(LOCKS) pyproject.toml
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || docker/debian-packages.sh python3-venv
	$(PYTHON) -m venv .venv
	@docker/install-locked.sh $(BIN)/python .
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock: build/uv/bin/uv ## Write the lock files anew: UPGRADE="numpy scipy" for newer versions of some
	python3 docker/lock_packages.py --uv $< $(UPGRADE:%=--upgrade %)

build/uv/bin/uv:
	$(PYTHON) -m venv build/uv
	build/uv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9

demo: $(INSTALLED) ## The main job: two CT studies arrive in a real Orthanc, SEG and SR come back (KEEP=1 stays up)
	@docker/debian-packages.sh $(ORTHANC_PACKAGES)
	@if [ -n "$(KEEP)" ] && command -v npm >/dev/null; then \
	    $(MAKE) --no-print-directory $(OHIF) || echo "npm cannot bring OHIF; the demo goes without"; fi
	@$(BIN)/python -m orthanc_plugin.demo --ohif $(dir $(OHIF))dist tests/data/ct_chest_lidc0314 tests/data/ct_thigh_sts003

test: $(INSTALLED) ## Every test, with a real Orthanc and a real browser
	@docker/debian-packages.sh $(TEST_PACKAGES)
	@$(MAKE) --no-print-directory build/node/.installed $(OHIF) $(MINBASE) build/rivals/monai
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile

build/node/.installed: Makefile # A JavaScript reader and a browser's driver for the tests
	npm install --silent --no-audit --no-fund --prefix $(@D) dcmjs@0.51.1 puppeteer-core@24.43.1 axe-core@4.14.1
	@touch $@

# Debian with nothing but Python, in which the tests run the MAP; only root can make it, and the tests skip without it.
build/minbase:
	@docker/debian-packages.sh debootstrap
	debootstrap --variant=minbase --include=python3 bookworm $@.part >/dev/null
	@mv $@.part $@

# The viewer as built stands in OHIF's package, which cannot be installed itself: a version that it asks for does not exist.
$(OHIF):
	@rm -rf $(@D) && mkdir -p $(@D)
	cd $(@D) && npm pack --silent @ohif/app@$(OHIF_VERSION)
	tar xzf $(@D)/*.tgz --directory $(@D) --strip-components=1 --exclude='*.map' package/dist
	@rm $(@D)/*.tgz && touch $@

check: $(INSTALLED) ## Format, lint, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(INSTALLED) ## The pages as static HTML, into build/docs
	$(BIN)/mkdocs build --strict --quiet

tour: $(INSTALLED) ## The pictures of docs/tour.md, from a real Orthanc, a real browser and OHIF
	@docker/debian-packages.sh $(TEST_PACKAGES)
	@$(MAKE) --no-print-directory build/node/.installed $(OHIF)
	$(BIN)/python tests/integration/tour_pictures.py

map: $(INSTALLED) ## The MONAI Application Package's build context, into build/map: MODEL=<folder>, GPU=1
	@$(BIN)/python docker/map/map_context.py --out build/map $(if $(MODEL),--model $(MODEL)) $(if $(GPU),--gpu)

sbom: $(INSTALLED) ## Bills of materials of the service's and the trainer's image, into build/sbom (that of the MAP lies in it)
	@$(BIN)/python docker/image_bills.py --out build/sbom

images: $(INSTALLED) $(MINBASE) map ## Carry out every step of every Dockerfile, without an engine (as root): IMAGES="service orthanc"
	$(BIN)/python tests/docker/carry_out_dockerfiles.py $(IMAGES)

# Podman's own format has no place for a health check.
ENGINE ?= $(firstword $(shell command -v podman docker))
image: map ## Build the MONAI package by podman or docker, and run its tests in it: ENGINE="podman --runtime runc" BUILD="--build-arg ..."
	$(or $(ENGINE),$(error neither podman nor docker is here; make map writes the context, make images carries out its steps)) \
	    build --tag curia-pacs-map $(if $(findstring podman,$(ENGINE)),--format docker) $(BUILD) build/map
	$(BIN)/pytest tests/docker/test_map.py --engine "$(ENGINE)"

conformance: $(INSTALLED) ## Every kind of result from every kind of source, judged by other people's validators
	@docker/debian-packages.sh $(TEST_PACKAGES)
	@$(BIN)/python tests/conformance/conformance_matrix.py

# MONAI itself is a rival to the reader only; beside the SDK it would cost the application seconds at its start.
build/rivals/monai: $(INSTALLED)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target build/rivals monai==1.6.1 \
	    || echo "MONAI cannot be installed here; its row is left out"

build/rivals/convexAdam: $(INSTALLED)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target build/rivals convexAdam==0.2.0 \
	    || echo "convexAdam cannot be installed here; its rows are left out"

bench: $(INSTALLED) build/rivals/monai build/rivals/convexAdam ## Measure against the rivals, side by side, into build/bench.json
	@for part in tests/benchmarks/bench_*.py; do $(BIN)/python -W ignore $$part --out build/bench.json || exit 1; done

bench-packs: $(INSTALLED) ## The embedded model on packs of labelled images: DATA=<folder with packs>, more OPTIONS= as --limit 20
	$(BIN)/python -m trainer bench --track packs --model app/demo_model --model before-training --model random \
	    --model pixels --model place --data $(DATA) --out build/bench-packs --no-images $(OPTIONS)
	$(BIN)/python tests/benchmarks/packs_report.py build/bench-packs docs
	$(BIN)/python tests/benchmarks/embedded_model_figures.py app/demo_model docs

bench-registration: $(INSTALLED) build/rivals/convexAdam ## How accurately scans are aligned, beside rivals: DATA=<folder with the public data sets>
	$(BIN)/python -W ignore tests/benchmarks/registration_accuracy.py $(DATA) --encoders
	$(BIN)/python tests/benchmarks/registration_report.py build/registration.json docs
	$(BIN)/python tests/benchmarks/modalities_picture.py $(DATA) docs/images/registration-ct-mr.webp

bench-pages: $(INSTALLED) ## How fast the pages are in Chromium: 5,000 studies, a study of 1,000 slices; pictures into build/pages
	@docker/debian-packages.sh chromium $(NODE_PACKAGES)
	@$(MAKE) --no-print-directory build/node/.installed
	$(BIN)/python tests/benchmarks/pages_in_browser.py

fuzz: $(INSTALLED) ## Read 20,000 damaged studies: CASES=, SEED= for more and others
	$(BIN)/pytest tests/operators/dicom/volumes/test_fuzz.py --fuzz-cases $(or $(CASES),20000) --fuzz-seed $(or $(SEED),1)

faults: $(INSTALLED) ## The fault matrix on a real Orthanc, every row (as root, for the full disk)
	@docker/debian-packages.sh $(ORTHANC_PACKAGES) postgresql faketime
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/integration/test_fault_matrix.py tests/integration/test_operation.py tests/integration/test_faults.py \
	    tests/integration/test_hosts.py tests/integration/test_surroundings.py tests/integration/test_whose_result.py tests/integration/test_priors.py tests/integration/test_late_priors.py \
	    --all-faults

load: $(INSTALLED) ## 1,000 small studies through Orthanc, then 200 that fail: STUDIES=, FAILING= for others; into build/load.json
	@docker/debian-packages.sh $(ORTHANC_PACKAGES)
	$(BIN)/python tests/benchmarks/load_orthanc.py --studies $(or $(STUDIES),1000) --failing $(or $(FAILING),200)

newer-orthanc: $(INSTALLED) ## The arrival tests on Debian's newer Orthancs: RELEASES="trixie forky" (as root)
	@docker/debian-packages.sh debootstrap
	@for release in $(or $(RELEASES),trixie forky); do \
	    docker/newer-orthanc.sh $$release build/orthanc-$$release && \
	    PATH=$(CURDIR)/build/orthanc-$$release/bin:$$PATH $(BIN)/pytest tests/integration/test_arrival.py || exit 1; done

demo-model: $(INSTALLED) ## Train and measure the embedded model again: DATA=<folder with the public data sets>; WORK=<folder> can be resumed
	$(BIN)/python -m trainer demo-model --data $(DATA) --out app/demo_model $(if $(WORK),--work $(WORK))

clean: ## Remove .venv and caches
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
