#!/usr/bin/env bash
# Makes the files of a release, in a folder.
#
#   hack/release.sh check FOLDER BINARY                   fails unless the plugin installs the images of FOLDER/images.txt, by digest
#   hack/release.sh pack FOLDER VERSION OS ARCH BINARY    makes FOLDER/kubectl-axon_VERSION_OS_ARCH.tar.gz
#   hack/release.sh manifest FOLDER VERSION               writes FOLDER/axon.yaml from krew/axon.yaml
#   hack/release.sh manual FOLDER VERSION                 packs the pages of FOLDER/man: krew has no place for them
#   hack/release.sh sboms FOLDER VERSION                  writes an SBOM (SPDX) of each archive, and of each image of
#                                                         FOLDER/images.txt for each architecture
#   hack/release.sh sums FOLDER                           writes FOLDER/SHA256SUMS of all files of the folder
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
downloads=https://github.com/axon-io/kubectl-axon/releases/download

fail() {
    echo "hack/release.sh: $*" >&2
    exit 1
}

check() {
    local folder=$1 binary=$2 released installed
    released=$(sed 's/ /@/' "$folder/images.txt")
    installed=$("$binary" install --list-images)
    [[ $released && $installed == "$released" ]] ||
        fail "$binary installs $installed, but $folder/images.txt has $released"
}

pack() {
    local folder=$1 version=$2 os=$3 arch=$4 binary=$5 stage name=kubectl-axon
    [[ $os == windows ]] && name=kubectl-axon.exe
    stage=$(mktemp -d)
    install -m 0755 "$binary" "$stage/$name"
    install -m 0644 "$root/LICENSE" "$stage/LICENSE"
    mkdir -p "$folder"
    archive "$folder/kubectl-axon_${version}_${os}_${arch}.tar.gz" "$stage" "$name" LICENSE
    rm -r "$stage"
}

# The same content makes the same archive.
archive() {
    local file=$1 folder=$2
    shift 2
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$folder" -cf - "$@" | gzip -9n >"$file"
}

manual() {
    local folder=$1 version=$2 stage
    stage=$(mktemp -d)
    install -d "$stage/man1"
    install -m 0644 "$folder"/man/*.1 "$stage/man1"
    archive "$folder/kubectl-axon-man_$version.tar.gz" "$stage" man1
    rm -r "$stage" "$folder/man"
}

manifest() {
    local folder=$1 version=$2 archive file os arch bin
    sed "s/@VERSION@/$version/; /^#/d" "$root/krew/axon.yaml" >"$folder/axon.yaml"
    for archive in "$folder"/kubectl-axon_"$version"_*.tar.gz; do
        file=${archive##*/}
        IFS=_ read -r _ _ os arch <<<"${file%.tar.gz}"
        bin=kubectl-axon
        [[ $os == windows ]] && bin=kubectl-axon.exe
        cat >>"$folder/axon.yaml" <<END
    - selector:
        matchLabels:
          os: $os
          arch: $arch
      uri: $downloads/$version/$file
      sha256: $(sha256sum "$archive" | cut -d' ' -f1)
      bin: $bin
END
    done
}

sboms() {
    local folder=$1 version=$2 archive stage name digest image arch
    for archive in "$folder"/kubectl-axon_"$version"_*.tar.gz; do
        stage=$(mktemp -d)
        tar -xzf "$archive" -C "$stage"
        sbom "${archive%.tar.gz}.spdx.json" "dir:$stage" --source-name kubectl-axon --source-version "$version"
        rm -r "$stage"
    done
    while read -r name digest; do
        image=${name##*/}
        for arch in amd64 arm64; do
            sbom "$folder/${image%:*}_${version}_linux_$arch.spdx.json" "registry:${name%:*}@$digest" --platform "linux/$arch"
        done
    done <"$folder/images.txt"
}

# A program of ours without its dependencies in it was not built by cargo auditable.
sbom() {
    local file=$1
    shift
    syft scan --quiet --output "spdx-json=$file" "$@" </dev/null
    grep -q pkg:cargo/axon-api@ "$file" || fail "$file has no Rust dependencies"
}

sums() {
    local sums
    sums=$(cd "$1" && find . -maxdepth 1 -type f ! -name 'SHA256SUMS*' -printf '%f\n' | LC_ALL=C sort | xargs sha256sum)
    echo "$sums" >"$1/SHA256SUMS"
}

"$@"
