//go:build !race

package udpserver

const raceEnabled = false
