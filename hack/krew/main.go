// Command krew is kubectl's plugin manager, for the test of our plugin manifest.
package main

import "sigs.k8s.io/krew/cmd/krew/cmd"

func main() {
	cmd.Execute()
}
