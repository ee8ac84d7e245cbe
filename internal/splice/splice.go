// Package splice moves bytes from one socket to another inside the kernel, through
// a pipe that the caller holds only while bytes move.
//
// The net package can do so as well, but waits for the source while it holds the
// pipe (two descriptors for an idle copy), and loses what is in the pipe when a
// write deadline cuts it. Here the pipe is the caller's: what could not be
// delivered can be taken out again.
package splice

import "errors"

// ErrUnsupported: the kernel does not splice this kind of socket, or not on this
// system. What is in the pipe stays there.
var ErrUnsupported = errors.New("no splice here")

// ErrNothing: nothing has come that could be moved without waiting.
var ErrNothing = errors.New("nothing has come")
