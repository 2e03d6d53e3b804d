#!/usr/bin/env bash
# Builds and pushes the images of a release.
#
#   hack/images.sh build REGISTRY VERSION IMAGE...          builds and pushes REGISTRY/axon-IMAGE:VERSION-ARCH on a machine of ARCH
#   hack/images.sh join REGISTRY VERSION FOLDER IMAGE...    makes REGISTRY/axon-IMAGE:VERSION of those of all architectures,
#                                                           and writes FOLDER/images.txt: an image and its digest a line
#   hack/images.sh public FOLDER                            fails unless everybody can pull what FOLDER/images.txt names
#   hack/images.sh notes FOLDER                             prints what a release says about its images
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
architectures=(amd64 arm64)
# The programs are built on the distribution that the images stand on: a newer one's C library is missing there.
builder=docker.io/library/rust:1.95-bookworm

fail() {
    echo "hack/images.sh: $*" >&2
    exit 1
}

# What is installed pulls the images of the version that it was built as.
check_version() {
    local built
    built=v$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -1)
    [[ $1 == "$built" ]] || fail "the tag is $1, but Cargo.toml says $built"
}

build() {
    local registry=$1 version=$2 arch
    shift 2
    check_version "$version"
    arch=$(uname -m)
    arch=${arch/x86_64/amd64}
    arch=${arch/aarch64/arm64}
    make -C "$root" images CLUSTER=existing PROFILE=release REGISTRY="$registry" TAG="$version-$arch" IMAGES="$*" \
        BINARIES="axon-operator axon-agent" \
        CARGO="docker run --rm --volume $root:$root --workdir $root $builder cargo"
}

join() {
    local registry=$1 version=$2 folder=$3 image name digest
    shift 3
    mkdir -p "$folder"
    for image in "$@"; do
        name=$registry/axon-$image:$version
        docker buildx imagetools create --tag "$name" "${architectures[@]/#/$name-}" >&2
        digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$name")
        [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || fail "$name has digest '$digest'"
        echo "$name $digest"
    done >"$folder/images.txt"
}

public() {
    local folder=$1 nobody name digest hidden=()
    nobody=$(mktemp -d)
    while read -r name digest; do
        DOCKER_CONFIG=$nobody docker manifest inspect "${name%:*}@$digest" >/dev/null </dev/null || hidden+=("$name")
    done <"$folder/images.txt"
    rm -r "$nobody"
    # A registry may keep new packages private until their owner says otherwise.
    ((${#hidden[@]} == 0)) || fail "can't be pulled without a login: ${hidden[*]}. Make them public and run this job again."
}

notes() {
    local folder=$1 name digest
    echo "Images, for linux/${architectures[0]} and linux/${architectures[1]}:"
    echo
    echo "| image | digest |"
    echo "| --- | --- |"
    while read -r name digest; do
        echo "| \`$name\` | \`$digest\` |"
    done <"$folder/images.txt"
}

"$@"
