#!/usr/bin/env bash
# Writes images/checksums.sha512 anew: what the packages of images/versions.env are, for both architectures. Run it after a
# version was changed, and read the difference: a hash that changes for a version that does not is an attack.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for arch in x64 arm64; do
  # One line for each package, as the Makefile unpacks it.
  make --no-print-directory -s packages NPM_ARCH=$arch
done | sort -u >"$folder/packages"
missing=0
while read -r package; do
  echo "$package" >&2
  (cd "$folder" && npm pack --silent "$package" >/dev/null) || { echo "  not in this registry: it stays without a hash, and no image can be built of it" >&2; missing=1; }
done <"$folder/packages"
(cd "$folder" && LC_ALL=C sha512sum --binary ./*.tgz) | sed 's|\*\./|*|' >images/checksums.sha512
exit $missing
