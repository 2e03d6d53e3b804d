#!/usr/bin/env bash
# Signs a release. In a workflow of GitHub the signer is the workflow itself (keyless), which hack/verify-release.sh asks for.
#
#   hack/sign.sh images FOLDER    signs the images of FOLDER/images.txt, and attaches the SBOMs that are in FOLDER to them
#   hack/sign.sh sums FOLDER      signs FOLDER/SHA256SUMS: writes FOLDER/SHA256SUMS.sigstore.json
#
# With AXON_SIGNING_KEY, a private key of cosign, that key signs, and no public log has the signature: for tests.
set -euo pipefail

signer=(--yes)
[[ -z ${AXON_SIGNING_KEY:-} ]] || signer+=(--key "$AXON_SIGNING_KEY" --use-signing-config=false --tlog-upload=false)

fail() {
    echo "hack/sign.sh: $*" >&2
    exit 1
}

images() {
    local folder=$1 name digest image sbom
    while read -r name digest; do
        image=${name##*/}
        image=${image%:*}
        # By digest: a tag could have moved since.
        cosign sign "${signer[@]}" "${name%:*}@$digest" </dev/null
        for sbom in "$folder/${image}"_*.spdx.json; do
            [[ -e $sbom ]] || fail "$folder has no SBOM of $image"
            cosign attest "${signer[@]}" --type spdxjson --predicate "$sbom" "${name%:*}@$digest" </dev/null
        done
    done <"$folder/images.txt"
}

sums() {
    cosign sign-blob "${signer[@]}" --bundle "$1/SHA256SUMS.sigstore.json" "$1/SHA256SUMS"
}

"$@"
