package sockets_test

import (
	"io"
	"net"
	"time"
)

// feed is a connection whose reads return what they are told to, one piece after
// the other, and then an error, io.EOF if nil. Writes go nowhere. It heeds no
// deadline and has no addresses.
type feed struct {
	parts []string
	then  error
	reads int
}

func (f *feed) Read(p []byte) (int, error) {
	f.reads++
	if len(f.parts) == 0 {
		if f.then == nil {
			return 0, io.EOF
		}
		return 0, f.then
	}
	n := copy(p, f.parts[0])
	if f.parts[0] = f.parts[0][n:]; f.parts[0] == "" {
		f.parts = f.parts[1:]
	}
	return n, nil
}

func (*feed) Write(p []byte) (int, error)      { return len(p), nil }
func (*feed) Close() error                     { return nil }
func (*feed) LocalAddr() net.Addr              { return nil }
func (*feed) RemoteAddr() net.Addr             { return nil }
func (*feed) SetDeadline(time.Time) error      { return nil }
func (*feed) SetReadDeadline(time.Time) error  { return nil }
func (*feed) SetWriteDeadline(time.Time) error { return nil }

// cut cuts s into pieces of n bytes.
func cut(s string, n int) (parts []string) {
	for len(s) > n {
		parts = append(parts, s[:n])
		s = s[n:]
	}
	if s != "" {
		parts = append(parts, s)
	}
	return parts
}
