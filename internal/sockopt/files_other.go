//go:build !unix

package sockopt

// OpenFiles: there is no such limit here.
func OpenFiles() (n uint64, ok bool) { return 0, false }
