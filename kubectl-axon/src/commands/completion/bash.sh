# Completion of kubectl-axon for bash: source <(kubectl-axon completion bash)
_kubectl_axon() {
    local line directive=4 current="${COMP_WORDS[COMP_CWORD]}"
    COMPREPLY=()
    # bash makes = a word of its own; what follows it is what is replaced.
    [[ $current == "=" ]] && current=""
    while IFS= read -r line; do
        if [[ $line == :* ]]; then
            directive="${line#:}"
        elif [[ ${line%%$'\t'*} == "$current"* ]]; then
            COMPREPLY+=("${line%%$'\t'*}")
        fi
    done < <("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if [[ $directive == 0 ]]; then
        compopt -o default 2>/dev/null
    elif [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _kubectl_axon kubectl-axon axon
