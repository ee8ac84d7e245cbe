//go:build !linux

package mcast

// only: elsewhere a socket hears the groups that it has joined, and no others.
func only(uintptr) {}
