#!/usr/bin/env bash
# Builds programs of hack/tools.env into a folder: hack/tools.sh FOLDER NAME...
#
# Go's checksum database knows the hash of each version, and a Go build runs no code of the modules that it builds: this is
# safe also in a job that can sign.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
shift
cd "$(dirname "$0")"
# shellcheck source=tools.env
source tools.env

for name in "$@"; do
    case $name in
    actionlint) package=github.com/rhysd/actionlint/cmd/actionlint@$ACTIONLINT_VERSION ;;
    cosign) package=github.com/sigstore/cosign/v3/cmd/cosign@$COSIGN_VERSION ;;
    crane) package=github.com/google/go-containerregistry/cmd/crane@$CRANE_VERSION ;;
    govulncheck) package=golang.org/x/vuln/cmd/govulncheck@$GOVULNCHECK_VERSION ;;
    kind) package=sigs.k8s.io/kind@$KIND_VERSION ;;
    syft) package=github.com/anchore/syft/cmd/syft@$SYFT_VERSION ;;
    *) echo "hack/tools.sh: hack/tools.env has no $name" >&2 && exit 1 ;;
    esac
    # Outside of any module of ours, with the checksum database also where a machine has it switched off.
    (cd / && GOBIN=$folder GOFLAGS='' GONOSUMDB='' GOSUMDB=sum.golang.org CGO_ENABLED=0 \
        go install -trimpath -ldflags "-s -w" "$package")
done
