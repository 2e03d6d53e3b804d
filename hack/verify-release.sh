#!/usr/bin/env bash
# Verifies a release as a user would: hack/verify-release.sh VERSION [FOLDER]
#
# Without FOLDER it downloads the release's files first. It needs cosign 3, gh with a login, sha256sum and tar, and fails
# unless all of this holds:
#   1. SHA256SUMS is signed by the release workflow of this version's tag, and every file is what SHA256SUMS says.
#   2. Every archive has a provenance attestation of that workflow.
#   3. The plugin for this machine and install.yaml name exactly the images of images.txt, by digest.
#   4. Every image has a signature, an SBOM and a provenance attestation of that workflow.
#
# With AXON_VERIFICATION_KEY, a public key of cosign, that key must have signed, and no public log is asked: for tests.
set -euo pipefail
repository=${AXON_RELEASE_REPOSITORY:-axon-io/kubectl-axon}
version=${1:?usage: hack/verify-release.sh VERSION [FOLDER]}
workflow=$repository/.github/workflows/release.yaml

fail() {
    echo "hack/verify-release.sh: $*" >&2
    exit 1
}

for program in cosign gh sha256sum tar; do
    command -v "$program" >/dev/null || fail "needs $program"
done
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
if [[ ${2:-} ]]; then
    folder=$(cd "$2" && pwd)
else
    folder=$scratch/release
    gh release download "$version" --repo "$repository" --dir "$folder"
fi

signer=(--certificate-identity "https://github.com/$workflow@refs/tags/$version"
    --certificate-oidc-issuer https://token.actions.githubusercontent.com)
[[ -z ${AXON_VERIFICATION_KEY:-} ]] || signer=(--key "$AXON_VERIFICATION_KEY" --insecure-ignore-tlog=true)

provenance() {
    gh attestation verify "$1" --repo "$repository" --signer-workflow "$workflow" --source-ref "refs/tags/$version" \
        >/dev/null </dev/null || fail "$1 has no provenance attestation of $workflow at $version"
}

# 1. Files.
cosign verify-blob "${signer[@]}" --bundle "$folder/SHA256SUMS.sigstore.json" "$folder/SHA256SUMS" >&2 ||
    fail "SHA256SUMS is not signed by $workflow at $version"
(cd "$folder" && sha256sum --check --strict --quiet SHA256SUMS) || fail "a file is not what SHA256SUMS says"
for file in "$folder"/*; do
    name=${file##*/}
    [[ $name == SHA256SUMS || $name == SHA256SUMS.sigstore.json ]] || grep -qF "  $name" "$folder/SHA256SUMS" ||
        fail "$name is not in SHA256SUMS"
done

# 2. Archives.
archives=("$folder"/kubectl-axon_"$version"_*.tar.gz)
for archive in "${archives[@]}"; do
    [[ -e $archive ]] || fail "$folder has no archive of the plugin of $version"
    hash=$(sha256sum "$archive" | cut -d' ' -f1)
    grep -qF "sha256: $hash" "$folder/axon.yaml" || fail "axon.yaml, the manifest for krew, has another hash for ${archive##*/}"
    provenance "$archive"
done

# 3. The manifests and the plugin.
os=$(uname -s | tr '[:upper:]' '[:lower:]')
arch=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
own=$folder/kubectl-axon_${version}_${os}_$arch.tar.gz
[[ -e $own ]] || fail "the release has no archive for $os/$arch, with which the images could be compared"
tar -xzf "$own" -C "$scratch" kubectl-axon
sed 's/ /@/' "$folder/images.txt" >"$scratch/released"
diff "$scratch/released" <("$scratch/kubectl-axon" install --list-images) >&2 ||
    fail "the plugin installs other images than those of images.txt"
[[ -s $scratch/released ]] || fail "images.txt names no image"
# Word by word: YAML may put a long value on the next line.
tr -s ', ' '\n' <"$folder/install.yaml" >"$scratch/words"
while read -r name digest; do
    image=${name##*/axon-}
    image=${image%:*}
    if [[ $image == operator ]]; then wanted=$name@$digest; else wanted=$image=$digest; fi
    grep -qxF -- "$wanted" "$scratch/words" || fail "install.yaml lacks $wanted"
done <"$folder/images.txt"

# 4. Images. For `cosign verify` each statement of the signer about the image counts, so the SBOM is asked for by its type.
while read -r name digest; do
    image=${name%:*}@$digest
    cosign verify "${signer[@]}" "$image" >/dev/null </dev/null || fail "$image is not signed by $workflow at $version"
    cosign verify-attestation "${signer[@]}" --type spdxjson "$image" >/dev/null </dev/null ||
        fail "$image has no SBOM of $workflow at $version"
    provenance "oci://$image"
done <"$folder/images.txt"
echo "$version is what its tag's workflow has built: ${#archives[@]} archives, $(wc -l <"$folder/images.txt") images"
