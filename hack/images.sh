#!/usr/bin/env bash
# Builds and pushes the images of a release.
#
#   hack/images.sh bases FOLDER                             writes FOLDER/bases.txt: an image of others that a release is built
#                                                           on, or in, and its digest a line
#   hack/images.sh options FOLDER DOCKERFILE                prints the options of a build: its base by the digest of
#                                                           FOLDER/bases.txt, and labels that say so
#   hack/images.sh build FOLDER REGISTRY VERSION IMAGE...   builds and pushes REGISTRY/axon-IMAGE:VERSION-ARCH on a machine of
#                                                           ARCH, with the bases of FOLDER/bases.txt
#   hack/images.sh join REGISTRY VERSION FOLDER IMAGE...    makes REGISTRY/axon-IMAGE:VERSION of those of all architectures,
#                                                           and writes FOLDER/images.txt: an image and its digest a line
#   hack/images.sh public FOLDER                            fails unless everybody can pull what FOLDER/images.txt names
#   hack/images.sh digests FOLDER                           prints the digests of FOLDER/images.txt for the build of the plugin
#   hack/images.sh notes FOLDER                             prints what a release says about its images
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
architectures=(amd64 arm64)
# The programs are built on the distribution that the images stand on: a newer one's C library is missing there.
builder=docker.io/library/rust:1.95-bookworm
source=https://github.com/axon-io/kubectl-axon
# shellcheck source=tools.env
source "$root/hack/tools.env"

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

check_digest() {
    [[ $2 =~ ^sha256:[0-9a-f]{64}$ ]] || fail "$1 has digest '$2'"
}

digest_of() {
    local digest
    digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$1" </dev/null)
    check_digest "$1" "$digest"
    echo "$digest"
}

# Once for a release, so that both architectures and all images have the same base, also if its tag moves in between.
bases() {
    local folder=$1 name digest
    mkdir -p "$folder"
    { echo "$builder"; sed -n 's/^ARG BASE_IMAGE=//p' "$root"/images/*/Dockerfile; } | grep -v /axon-agent-base | sort -u |
        while read -r name; do
            digest=$(digest_of "$name")
            echo "$name $digest"
        done >"$folder/bases.txt"
}

base_digest() {
    local folder=$1 name=$2 digest
    digest=$(awk -v name="$name" '$1 == name { print $2 }' "$folder/bases.txt")
    [[ $digest ]] || fail "$folder/bases.txt has no digest of $name"
    check_digest "$name" "$digest"
    echo "$digest"
}

options() {
    local folder=$1 base digest key=org.opencontainers.image
    base=$(sed -n 's/^ARG BASE_IMAGE=//p' "$2")
    echo "--label $key.source=$source --label $key.revision=$(git -C "$root" rev-parse HEAD)"
    # An agent's image has the labels of axon-agent-base, which is built before it on the same machine.
    [[ $base != */axon-agent-base ]] || return 0
    digest=$(base_digest "$folder" "$base")
    echo "--build-arg BASE_IMAGE=$base@$digest --label $key.base.name=$base --label $key.base.digest=$digest"
}

build() {
    local folder=$1 registry=$2 version=$3 arch inside
    shift 3
    check_version "$version"
    arch=$(uname -m)
    arch=${arch/x86_64/amd64}
    arch=${arch/aarch64/arm64}
    inside="docker run --rm --volume $root:$root --workdir $root --env CARGO_HOME=$root/.build/cargo"
    inside+=" $builder@$(base_digest "$folder" "$builder") cargo"
    # Made here: the container would make it root's, and what is built later needs a place beside it.
    mkdir -p "$root/.build/cargo"
    # The programs carry the list of their dependencies, from which the SBOM of an image is made.
    $inside install --locked --version "$CARGO_AUDITABLE_VERSION" cargo-auditable
    make -C "$root" images CLUSTER=existing PROFILE=release REGISTRY="$registry" TAG="$version-$arch" IMAGES="$*" \
        BASES="$(cd "$folder" && pwd)" BINARIES="axon-operator axon-agent" CARGO="$inside auditable"
}

join() {
    local registry=$1 version=$2 folder=$3 image name digest
    shift 3
    mkdir -p "$folder"
    for image in "$@"; do
        name=$registry/axon-$image:$version
        docker buildx imagetools create --tag "$name" "${architectures[@]/#/$name-}" >&2
        digest=$(digest_of "$name")
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

digests() {
    local folder=$1 name digest list=()
    while read -r name digest; do
        check_digest "$name" "$digest"
        name=${name##*/axon-}
        list+=("${name%:*}=$digest")
    done <"$folder/images.txt"
    ((${#list[@]})) || fail "$folder/images.txt names no image"
    (IFS=, && echo "${list[*]}")
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
