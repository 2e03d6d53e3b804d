#compdef kubectl-axon axon
# Completion of kubectl-axon for zsh: source <(kubectl-axon completion zsh)
_kubectl_axon() {
    local line directive=4
    local -a candidates
    while IFS= read -r line; do
        if [[ $line == :* ]]; then
            directive="${line#:}"
        else
            local word="${line%%$'\t'*}" description=""
            [[ $line == *$'\t'* ]] && description="${line#*$'\t'}"
            candidates+=("${word//:/\\:}${description:+:$description}")
        fi
    done < <("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    if [[ $directive == 0 ]]; then
        _files
    else
        _describe -V 'kubectl-axon' candidates
    fi
}
compdef _kubectl_axon kubectl-axon axon
