#!/usr/bin/env bash
# Packs the plugin for a platform, and writes the krew manifest of all archives of the folder.
#
#   hack/release.sh pack FOLDER VERSION OS ARCH BINARY    makes FOLDER/kubectl-axon_VERSION_OS_ARCH.tar.gz
#   hack/release.sh manifest FOLDER VERSION               writes FOLDER/axon.yaml from krew/axon.yaml
#   hack/release.sh manual FOLDER VERSION                 packs the pages of FOLDER/man: krew has no place for them
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
downloads=https://github.com/axon-io/kubectl-axon/releases/download

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

"$@"
