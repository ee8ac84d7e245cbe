//go:build race

package sockets_test

// raceEnabled: allocations are not what they are without the race detector.
const raceEnabled = true
