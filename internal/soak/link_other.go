//go:build !linux

package main

import "fmt"

// connect is for Linux.
func connect(string) int {
	fmt.Println("-link: there are no network namespaces here")
	return 1
}
