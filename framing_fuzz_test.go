package sockets_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"example.com/sockets"
)

// fuzzed are the framings that a fuzzer may choose from.
var fuzzed = []sockets.Framing{
	sockets.Lines(16), sockets.LengthPrefix(1, 16), sockets.LengthPrefix(2, 16), sockets.LengthPrefix(4, 16),
	sockets.LengthPrefix(8, 16), sockets.Uvarint(16), fixed(5),
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(uint8(0), []byte("a\r"), []byte(""))
	f.Add(uint8(1), []byte("\n"), []byte("\r\n"))
	f.Add(uint8(5), []byte("0123456789abcdef"), []byte("x"))
	f.Fuzz(func(t *testing.T, which uint8, a, b []byte) {
		framing := fuzzed[int(which)%(len(fuzzed)-1)] // fixed takes no others
		var want [][]byte
		var wire []byte
		for _, m := range [][]byte{a, b, a} {
			framed, err := framing.Append(wire, m)
			if err != nil {
				if len(m) <= 16 && !errors.Is(err, sockets.ErrDelimiter) {
					t.Errorf("%q is refused: %v", m, err)
				}
				if !bytes.Equal(framed, wire) {
					t.Errorf("%q is refused and appended", m)
				}
				continue
			}
			wire, want = framed, append(want, m)
		}
		for _, m := range want {
			got, advance, _, err := framing.Next(wire, false)
			if err != nil || advance == 0 || !bytes.Equal(got, m) {
				t.Fatalf("%q reads back as %q (%d bytes), %v", m, got, advance, err)
			}
			wire = wire[advance:]
		}
		if len(wire) != 0 {
			t.Errorf("%q is left", wire)
		}
	})
}

// FuzzPieces: however a stream is cut, the messages are the same, and no more
// memory is held than the framing allows.
func FuzzPieces(f *testing.F) {
	f.Add(uint8(0), []byte("a\r\nbb\n\r\r\nhalf"), []byte{1, 2})
	f.Add(uint8(0), []byte("01234567890123456789\nok\n"), []byte{16, 1, 3})
	f.Add(uint8(3), []byte("\x00\x00\x00\x03abc\xff\xff\xff\xff"), []byte{1})
	f.Add(uint8(5), []byte("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), []byte{9})
	f.Add(uint8(6), []byte("abcdefgh"), []byte{0})
	f.Fuzz(func(t *testing.T, which uint8, wire, cuts []byte) {
		framing := fuzzed[int(which)%len(fuzzed)]
		whole := conversationOf(t, &feed{parts: cut(string(wire), max(len(wire), 1))}, framing)
		var parts []string
		for rest, i := string(wire), 0; rest != ""; i++ {
			n := 1
			if len(cuts) > 0 {
				n += int(cuts[i%len(cuts)])
			}
			n = min(n, len(rest))
			parts, rest = append(parts, rest[:n]), rest[n:]
		}
		if got := conversationOf(t, &feed{parts: parts}, framing); got != whole {
			t.Errorf("in one piece %s\nin pieces    %s", whole, got)
		}
	})
}

// conversationOf is all that ReadMessage says, as text.
func conversationOf(t *testing.T, from *feed, f sockets.Framing) string {
	var b bytes.Buffer
	c := sockets.NewConn(from, f)
	for range 10_000 {
		m, err := c.ReadMessage()
		switch {
		case err == nil:
			b.WriteString("[" + string(m) + "]")
		case err == io.EOF:
			return b.String() + "EOF"
		case errors.Is(err, io.ErrUnexpectedEOF):
			return b.String() + "cut"
		case errors.Is(err, sockets.ErrTooLong):
			b.WriteString("long ")
			if from.reads > 0 && bytes.HasSuffix(b.Bytes(), []byte("long long long long ")) {
				return b.String() // it stays
			}
		default:
			t.Fatalf("error %v", err)
		}
		if len(m) > f.Max() {
			t.Fatalf("a message of %d bytes, Max is %d", len(m), f.Max())
		}
	}
	t.Fatal("no end")
	return ""
}
