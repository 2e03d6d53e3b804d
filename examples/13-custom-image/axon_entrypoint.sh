#!/bin/bash
# Runs the agent with the prompt, and reports its outputs at the end.
my-agent "$1" &
trap 'kill -TERM $!' TERM
wait $!
code=$?
echo "---AXON_OUTPUTS_START---"
git rev-parse --is-inside-work-tree >/dev/null 2>&1 && {
  echo "branch: $(git branch --show-current)"
  echo "commit: $(git rev-parse HEAD)"
}
echo "agent: my-agent"
echo "---AXON_OUTPUTS_END---"
exit $code
