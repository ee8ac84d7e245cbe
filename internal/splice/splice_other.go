//go:build !linux

package splice

import "net"

// Pipe does not exist here.
type Pipe struct{}

// Open fails.
func Open() (*Pipe, error) { return nil, ErrUnsupported }

// Len is 0, like everything below.
func (*Pipe) Len() int { return 0 }

// Put fails.
func (*Pipe) Put([]byte) (int, error) { return 0, ErrUnsupported }

// Take fails.
func (*Pipe) Take([]byte) (int, error) { return 0, ErrUnsupported }

// Fill fails.
func (*Pipe) Fill(net.Conn, int64, bool) (int, error) { return 0, ErrUnsupported }

// Empty fails.
func (*Pipe) Empty(net.Conn) (int64, error) { return 0, ErrUnsupported }

// Close does nothing.
func (*Pipe) Close() {}
