#!/usr/bin/env bash
# Runs the end-to-end tests on a kind cluster of its own: hack/kind/e2e.sh oldest|newest
#
# Needs docker and kubectl, and builds kind. Deletes the cluster at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=nodes.env
source hack/kind/nodes.env
case ${1:-} in
oldest) node=$OLDEST ;;
newest) node=$NEWEST ;;
*) echo "hack/kind/e2e.sh: oldest or newest, not ${1:-nothing}" >&2 && exit 2 ;;
esac

# An old cluster has another version of Kubernetes and the objects of an interrupted run.
make --no-print-directory cluster-down CLUSTER=kind
trap 'make --no-print-directory cluster-down CLUSTER=kind' EXIT
make --no-print-directory e2e CLUSTER=kind KIND_NODE="$node"
