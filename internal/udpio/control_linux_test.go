package udpio

import "testing"

// Whatever the bytes are, the parser ends, and reads nothing beyond them.
func FuzzParseControl(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 64))
	for _, seed := range [][]byte{
		{28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 127, 0, 0, 1, 127, 0, 0, 9},
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 8, 0, 0, 0},
		{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0},
		{20, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 104, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
		{17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0xff},
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Packet
		if n := parseControl(b, &p); n < 0 {
			t.Errorf("datagrams of %d bytes", n)
		}
		if p.Source.IsValid() && p.Source.IsMulticast() || p.ECN > 3 {
			t.Errorf("source %v, ECN %d", p.Source, p.ECN)
		}
	})
}
