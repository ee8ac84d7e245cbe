//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package listen

import "context"

// lock: there is no flock here. Two servers that start at once on one path may both
// find a dead socket, and the later bind then wins.
func lock(context.Context, string) (unlock func(), err error) { return func() {}, nil }
