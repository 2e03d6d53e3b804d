#!/usr/bin/env bash
# Keeps one open issue about a workflow that fails: hack/report-failure.sh TITLE RESULT URL
#
# Opens the issue, or adds a comment to the one that is open. Close it when the workflow passes again.
set -euo pipefail
title=$1 body="$2: $3"
repository=${GITHUB_REPOSITORY:?}
export title
# By the exact title: the search of GitHub finds similar ones as well.
number=$(gh issue list --repo "$repository" --state open --search "in:title \"$title\"" \
    --json number,title --jq '[.[] | select(.title == env.title) | .number] | first // empty')
if [[ $number ]]; then
    gh issue comment "$number" --repo "$repository" --body "$body"
else
    gh issue create --repo "$repository" --title "$title" --body "$body"
fi
