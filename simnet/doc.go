// Package simnet is a network in memory for tests and lessons: TCP and UDP that
// lose and reorder on command, keep a trace and, inside testing/synctest, run in
// virtual time.
package simnet
