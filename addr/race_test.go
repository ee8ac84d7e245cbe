//go:build race

package addr_test

const raceEnabled = true
