package listen

import "time"

// SetLockWait changes the bound on the wait for a directory, and returns a function
// that takes that back.
func SetLockWait(d time.Duration) (restore func()) {
	was := lockWait
	lockWait = d
	return func() { lockWait = was }
}
