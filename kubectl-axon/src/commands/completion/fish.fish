# Completion of kubectl-axon for fish: kubectl-axon completion fish | source
function __kubectl_axon_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    $before[1] __complete $before[2..-1] "$current" 2>/dev/null | string match --invert --regex '^:\d+$'
end
complete -c kubectl-axon -f -a '(__kubectl_axon_complete)'
complete -c axon -f -a '(__kubectl_axon_complete)'
