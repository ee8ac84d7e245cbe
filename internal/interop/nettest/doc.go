// Package nettest runs golang.org/x/net/nettest over simnet. It is a module of its
// own, so that the library does not require golang.org/x/net.
package nettest
