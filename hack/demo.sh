#!/usr/bin/env bash
# The main job, start to end, on the cluster of KUBECONFIG: installs the operator, starts a model and a git host, runs a
# real agent in a pod and shows what it did. Called by `make demo`, which has built and loaded everything.
#
# With ANTHROPIC_API_KEY set the agent talks to the real provider; otherwise to a scripted model in the cluster.
set -euo pipefail

namespace=axon-demo
services=/api/v1/namespaces/axon-fixtures/services
started=$SECONDS
export PATH="$(dirname "$AXON_BIN"):$PATH"

say() { printf '\n\033[1m== %s\033[0m\n' "$*" >&2; }
run() { printf '\033[2m$ %s\033[0m\n' "$*" >&2; "$@"; }
put() { kubectl replace --raw "$services/git:80/proxy/_admin/$1" -f /dev/null >/dev/null; }

say "Install the operator"
run kubectl axon install --registry "$REGISTRY" --tag "$TAG"

say "Start a git host and a scripted model in the cluster"
sed "s|FIXTURES_IMAGE|$REGISTRY/axon-fixtures:$TAG|" "$(dirname "$0")/../test/manifests/fixtures.yaml" \
	| kubectl apply -f - >/dev/null
kubectl -n axon-fixtures rollout status deployment/fixtures --timeout=120s >&2
token=demo-token-$RANDOM$RANDOM
put "repos/demo?private=1"
put "tokens/$token"

say "A namespace that enforces Pod Security 'restricted', with credentials and a Workspace"
kubectl create namespace $namespace --dry-run=client -o yaml | kubectl apply -f - >/dev/null
kubectl label --overwrite namespace $namespace pod-security.kubernetes.io/enforce=restricted >/dev/null
# The git host and the model are in the cluster, which agents do not reach otherwise where the network enforces policies.
kubectl -n $namespace apply -f "$(dirname "$0")/../test/manifests/agents_network.yaml" >/dev/null
secret() { kubectl -n $namespace create secret generic "$1" --from-literal="$2" --dry-run=client -o yaml | kubectl apply -f - >/dev/null; }
secret git-token "GITHUB_TOKEN=$token"
# Its host has no TLS, and is not github.com.
kubectl -n $namespace annotate --overwrite secret git-token axon.io/hosts=http://git.axon-fixtures.svc >/dev/null
kubectl apply -f - <<YAML
apiVersion: axon.io/v1alpha1
kind: Workspace
metadata: {name: demo, namespace: $namespace}
spec:
  repo: http://git.axon-fixtures.svc/demo.git
  ref: main
  secretRef: {name: git-token}
YAML

name=demo-$(date +%H%M%S)
branch=agent/$name
if [ -n "${ANTHROPIC_API_KEY:-}" ]; then
	secret model-key "ANTHROPIC_API_KEY=$ANTHROPIC_API_KEY"
	prompt="Create a file hello.txt with a friendly greeting, commit it and push the current branch to origin."
	model=()
else
	secret model-key "ANTHROPIC_API_KEY=sk-scripted-model"
	# The scripted model does what the prompt's lines say; the agent that carries it out is the real one.
	prompt="Add a greeting to this repository.
@bash printf 'hello from a pod\n' > hello.txt && git add hello.txt && git commit -q -m 'Add a greeting' && git log --oneline -1
@bash git push -q origin HEAD && git status --short --branch
@say hello.txt is committed and pushed."
	model=(--env "ANTHROPIC_BASE_URL=http://model.axon-fixtures.svc/run/$name")
fi

say "Run a real agent"
run kubectl axon run -n $namespace --name "$name" --workspace demo --branch "$branch" \
	--secret model-key --timeout 10m ${model[@]+"${model[@]}"} -p "$prompt" -w

say "What became of it"
run kubectl -n $namespace get task "$name" -o wide
kubectl -n $namespace get task "$name" -o yaml | sed -n '/^status:/,$p'

say "What the git host has"
kubectl get --raw "$services/git:80/proxy/_admin/repos/demo/log?ref=$branch"
echo
printf '\ndemo done in %s s; look around with:\n  export KUBECONFIG=%s\n  kubectl -n %s get tasks\nand end with `make cluster-down`.\n' \
	$((SECONDS - started)) "${KUBECONFIG:-}" $namespace >&2
