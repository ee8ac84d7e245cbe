//go:build !race

package addr_test

const raceEnabled = false
