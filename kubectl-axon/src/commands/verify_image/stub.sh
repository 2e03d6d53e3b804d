#!/bin/sh
# Stands for the agent's CLI: says what it was started with, and ends as it was told to.
expected=$(cat /axon/verify/prompt)
found=nothing
for word in "$@"; do
  case $word in *"$expected"*) found="an argument" ;; esac
done
if [ "$found" = nothing ]; then
  case $(cat) in *"$expected"*) found="standard input" ;; esac
fi
echo "axon-verify prompt: $found"
case $AXON_VERIFY in
failure) exit 7 ;;
stop)
  trap 'exit 143' TERM INT
  echo "axon-verify waits"
  while :; do sleep 1; done
  ;;
esac
# What the agents of our own images end with.
case $AXON_AGENT_TYPE in
claude-code) echo '{"type":"result","subtype":"success","is_error":false,"result":"done"}' ;;
codex) echo '{"type":"turn.completed"}' ;;
gemini) echo '{"type":"result","status":"success"}' ;;
opencode) echo '{"type":"step_finish","part":{"id":"1","reason":"stop"}}' ;;
esac
