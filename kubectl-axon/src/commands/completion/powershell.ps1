# Completion of kubectl-axon for PowerShell: kubectl-axon completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName 'kubectl-axon', 'axon' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $elements = @($commandAst.CommandElements | ForEach-Object { "$_" })
    $program = $elements[0]
    $words = @($elements | Select-Object -Skip 1)
    # An empty word would get lost on the way to the program.
    if ($wordToComplete -eq '') { $words += "''" }
    & $program __complete @words 2>$null | Where-Object { $_ -notmatch '^:\d+$' } | ForEach-Object {
        $word, $description = $_ -split "`t", 2
        if (-not $description) { $description = $word }
        [System.Management.Automation.CompletionResult]::new($word, $word, 'ParameterValue', $description)
    }
}
