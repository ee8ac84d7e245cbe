package sockets_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"example.com/sockets"
)

// outcome is what a loop over ReadMessage saw: messages, and errors as "!" and
// their class.
func outcome(c *sockets.Conn) (seen []string) {
	for range 1000 {
		m, err := c.ReadMessage()
		switch {
		case err == nil:
			seen = append(seen, string(m))
			continue
		case err == io.EOF:
			return seen
		case errors.Is(err, sockets.ErrTooLong):
			seen = append(seen, "!long")
		case errors.Is(err, io.ErrUnexpectedEOF):
			return append(seen, "!cut:"+string(m))
		default:
			return append(seen, "!"+err.Error())
		}
	}
	return append(seen, "!endless")
}

func TestLinesTable(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	tests := []struct {
		name, in string
		want     []string
	}{
		{"nothing", "", nil},
		{"LF", "a\nb\n", []string{"a", "b"}},
		{"CRLF", "a\r\nb\r\n", []string{"a", "b"}},
		{"mixed", "a\nb\r\nc\n", []string{"a", "b", "c"}},
		{"empty lines", "\n\r\n\n", []string{"", "", ""}},
		{"only one CR is stripped", "a\r\r\n", []string{"a\r"}},
		{"a CR inside stays", "a\rb\n\rc\n", []string{"a\rb", "\rc"}},
		{"NUL and bytes that are no UTF-8", "\x00\xff\n", []string{"\x00\xff"}},
		{"max-1", x(7) + "\n", []string{x(7)}},
		{"max", x(8) + "\n", []string{x(8)}},
		{"max+1", x(9) + "\nok\n", []string{"!long", "ok"}},
		{"max-1 CRLF", x(7) + "\r\n", []string{x(7)}},
		{"max CRLF", x(8) + "\r\n", []string{x(8)}},
		{"max+1 CRLF", x(9) + "\r\nok\r\n", []string{"!long", "ok"}},
		{"max with the CR of the line", x(7) + "\r\r\n", []string{x(7) + "\r"}},
		{"max+1 with the CR of the line", x(8) + "\r\r\nok\n", []string{"!long", "ok"}},
		{"overlong then next", x(100) + "\nok\n", []string{"!long", "ok"}},
		{"overlong in a row", x(9) + "\n" + x(30) + "\n" + x(300) + "\nok\n" + x(9) + "\n", []string{"!long", "!long", "!long", "ok", "!long"}},
		{"overlong by far", x(70000) + "\nok\n", []string{"!long", "ok"}},
		{"overlong, an empty line, next", x(9) + "\n\nok\n", []string{"!long", "", "ok"}},
		{"overlong at EOF", "ok\n" + x(9), []string{"ok", "!long", "!cut:"}},
		{"overlong and its end at EOF", x(9) + "\n", []string{"!long"}},
		{"EOF inside", "ok\nhalf", []string{"ok", "!cut:half"}},
		{"EOF after CR", "ok\nhalf\r", []string{"ok", "!cut:half\r"}},
		{"EOF at max", x(8), []string{"!cut:" + x(8)}},
		{"EOF at max and CR", x(8) + "\r", []string{"!cut:" + x(8) + "\r"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 7, 8, 9, 10, 64, 127, 128, 129, 1 << 20} {
				if len(tt.in)/size > 10_000 {
					continue // it takes long and tells nothing new
				}
				c := sockets.NewConn(&feed{parts: cut(tt.in, size)}, sockets.Lines(8))
				if got := outcome(c); !slices.Equal(got, tt.want) {
					t.Errorf("in pieces of %d: %q, want %q", size, got, tt.want)
				}
			}
		})
	}
}

func TestLinesDefaultMax(t *testing.T) {
	line := strings.Repeat("x", 64<<10)
	c := sockets.NewConn(&feed{parts: []string{line + "\r\n", line + "y\nok\n"}}, nil)
	if got, want := outcome(c), []string{line, "!long", "ok"}; !slices.Equal(got, want) {
		t.Errorf("%d messages, want the longest, ErrTooLong, ok", len(got))
	}
}

func TestLinesWithoutMax(t *testing.T) {
	line := strings.Repeat("x", 5<<20)
	c := sockets.NewConn(&feed{parts: []string{line + "\nok\n"}}, sockets.Lines(-1))
	if got, want := outcome(c), []string{line, "ok"}; !slices.Equal(got, want) {
		t.Errorf("%d messages, want the long one and ok", len(got))
	}
}

func TestLinesRefuses(t *testing.T) {
	tests := []struct {
		name, message string
		want          error
	}{
		{"a line break", "a\nQUIT", sockets.ErrDelimiter},
		{"a line break at the end", "a\n", sockets.ErrDelimiter},
		{"CRLF", "a\r\nQUIT", sockets.ErrDelimiter},
		{"too long", "123456789", sockets.ErrTooLong},
		{"the longest", "12345678", nil},
		{"a lone CR", "a\rb", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := sockets.NewConn(&feed{}, sockets.Lines(8))
			wantError(t, "write", c.WriteMessage([]byte(tt.message)), tt.want)
			wantError(t, "the next write", c.WriteMessage([]byte("ok")), nil)
		})
	}
}

// framings are those of the package, with a small maximum.
func framings(max int) map[string]sockets.Framing {
	return map[string]sockets.Framing{
		"Lines":          sockets.Lines(max),
		"LengthPrefix 1": sockets.LengthPrefix(1, max),
		"LengthPrefix 2": sockets.LengthPrefix(2, max),
		"LengthPrefix 4": sockets.LengthPrefix(4, max),
		"LengthPrefix 8": sockets.LengthPrefix(8, max),
		"Uvarint":        sockets.Uvarint(max),
	}
}

func TestRoundTrip(t *testing.T) {
	messages := []string{"", "a", "a\r", "\r", "\r\r", "a\rb", "\x00\x80\xff", strings.Repeat("y", 199), "", strings.Repeat("z", 200)}
	for name, f := range framings(200) {
		t.Run(name, func(t *testing.T) {
			var wire []byte
			for _, m := range messages {
				before := len(wire)
				var err error
				if wire, err = f.Append(wire, []byte(m)); err != nil {
					t.Fatal(err)
				}
				if n := len(wire) - before; n > f.Max() {
					t.Errorf("a message of %d takes %d bytes, Max says %d", len(m), n, f.Max())
				}
			}
			for size := 1; size < 300; size += 7 {
				c := sockets.NewConn(&feed{parts: cut(string(wire), size)}, f)
				if got := outcome(c); !slices.Equal(got, messages) {
					t.Errorf("in pieces of %d: %q", size, got)
				}
			}
			if _, err := f.Append(nil, make([]byte, 201)); !errors.Is(err, sockets.ErrTooLong) {
				t.Errorf("a message over the maximum: %v", err)
			}
		})
	}
}

// Append must only append, also when it fails.
func TestAppendKeepsWhatIsThere(t *testing.T) {
	for name, f := range framings(8) {
		for _, m := range []string{"ok", "123456789"} {
			got, _ := f.Append([]byte("before"), []byte(m))
			if !bytes.HasPrefix(got, []byte("before")) {
				t.Errorf("%s: %q", name, got)
			}
		}
	}
}

func TestPrefixTable(t *testing.T) {
	tests := []struct {
		name string
		f    sockets.Framing
		in   string
		want []string
	}{
		{"1", sockets.LengthPrefix(1, 0), "\x03abc\x00\x01d", []string{"abc", "", "d"}},
		{"2", sockets.LengthPrefix(2, 0), "\x00\x03abc\x00\x00", []string{"abc", ""}},
		{"4", sockets.LengthPrefix(4, 0), "\x00\x00\x00\x03abc", []string{"abc"}},
		{"8", sockets.LengthPrefix(8, 0), "\x00\x00\x00\x00\x00\x00\x00\x03abc", []string{"abc"}},
		{"EOF in the header", sockets.LengthPrefix(4, 0), "\x00\x00", []string{"!cut:\x00\x00"}},
		{"EOF behind the header", sockets.LengthPrefix(2, 0), "\x00\x05", []string{"!cut:\x00\x05"}},
		{"EOF in the message", sockets.LengthPrefix(1, 0), "\x01a\x05bc", []string{"a", "!cut:\x05bc"}},
		{"max", sockets.LengthPrefix(1, 2), "\x02ab", []string{"ab"}},
		{"max of the width", sockets.LengthPrefix(1, -1), "\xff" + strings.Repeat("x", 255), []string{strings.Repeat("x", 255)}},
		{"Uvarint", sockets.Uvarint(0), "\x03abc\x00\xac\x02" + strings.Repeat("x", 300), []string{"abc", "", strings.Repeat("x", 300)}},
		{"Uvarint, longer than it need be", sockets.Uvarint(0), "\x83\x00abc", []string{"abc"}},
		{"Uvarint, EOF in the header", sockets.Uvarint(0), "\x00\x80", []string{"", "!cut:\x80"}},
		{"Uvarint, EOF in the message", sockets.Uvarint(0), "\x03ab", []string{"!cut:\x03ab"}},
		{"Uvarint, max", sockets.Uvarint(2), "\x02ab", []string{"ab"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 5, 1 << 20} {
				c := sockets.NewConn(&feed{parts: cut(tt.in, size)}, tt.f)
				if got := outcome(c); !slices.Equal(got, tt.want) {
					t.Errorf("in pieces of %d: %q, want %q", size, got, tt.want)
				}
			}
		})
	}
}

// A length over the maximum is an error that stays, costs nothing and destroys
// nothing: the bytes can still be looked at.
func TestHostileLength(t *testing.T) {
	tests := []struct {
		name, header string
		f            sockets.Framing
	}{
		{"1", "\x03", sockets.LengthPrefix(1, 2)},
		{"2", "\xff\xff", sockets.LengthPrefix(2, 1000)},
		{"4, 4 GiB-1", "\xff\xff\xff\xff", sockets.LengthPrefix(4, 0)},
		{"4, max+1", "\x00\x10\x00\x01", sockets.LengthPrefix(4, 0)},
		{"8, all ones", "\xff\xff\xff\xff\xff\xff\xff\xff", sockets.LengthPrefix(8, 0)},
		{"8, all ones, no maximum", "\xff\xff\xff\xff\xff\xff\xff\xff", sockets.LengthPrefix(8, -1)},
		{"8, negative", "\x80\x00\x00\x00\x00\x00\x00\x00", sockets.LengthPrefix(8, -1)},
		{"8, MaxInt64, no maximum", "\x7f\xff\xff\xff\xff\xff\xff\xff", sockets.LengthPrefix(8, -1)},
		{"Uvarint, max+1", "\x03", sockets.Uvarint(2)},
		{"Uvarint, the largest", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", sockets.Uvarint(-1)},
		{"Uvarint, overflow", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", sockets.Uvarint(-1)},
		{"Uvarint, endless", strings.Repeat("\x80", 11), sockets.Uvarint(-1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := sockets.NewConn(&feed{parts: cut(tt.header+"abc", 1)}, tt.f)
			before := allocated()
			for range 3 {
				_, err := c.ReadMessage()
				wantError(t, "ReadMessage", err, sockets.ErrTooLong)
			}
			if n := allocated() - before; n > 64<<10 {
				t.Errorf("%d bytes were allocated", n)
			}
			rest, err := io.ReadAll(c)
			if string(rest) != tt.header+"abc" || err != nil {
				t.Errorf("behind it Read found %q, %v", rest, err)
			}
		})
	}
}

// A header that claims the maximum costs no more than the bytes that have come.
func TestClaimedLengthCostsNothing(t *testing.T) {
	for name, f := range map[string]sockets.Framing{
		"4":       sockets.LengthPrefix(4, 1<<30),
		"8":       sockets.LengthPrefix(8, -1),
		"Uvarint": sockets.Uvarint(1 << 30),
	} {
		header := map[string]string{
			"4":       "\x40\x00\x00\x00",
			"8":       "\x00\x00\x00\x7f\x00\x00\x00\x00",
			"Uvarint": string(binary.AppendUvarint(nil, 1<<30)),
		}[name]
		c := sockets.NewConn(&feed{parts: []string{header, strings.Repeat("x", 10_000)}}, f)
		before := allocated()
		_, err := c.ReadMessage()
		wantError(t, name, err, io.ErrUnexpectedEOF)
		if n := allocated() - before; n > 100<<10 {
			t.Errorf("%s: 10,000 bytes that claim to be more cost %d", name, n)
		}
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestLengthPrefixWidth(t *testing.T) {
	for _, width := range []int{-1, 0, 3, 5, 9, 16} {
		func() {
			defer func() {
				if s := fmt.Sprint(recover()); !strings.Contains(s, "width") {
					t.Errorf("LengthPrefix(%d, 0): %s", width, s)
				}
			}()
			sockets.LengthPrefix(width, 0)
		}()
	}
}

func TestFramingLimits(t *testing.T) {
	tests := []struct {
		name string
		f    sockets.Framing
		want int
	}{
		{"Lines", sockets.Lines(0), 64<<10 + 2},
		{"Lines(5)", sockets.Lines(5), 7},
		{"LengthPrefix 4", sockets.LengthPrefix(4, 0), 1<<20 + 4},
		{"LengthPrefix 1", sockets.LengthPrefix(1, 0), 255 + 1},
		{"LengthPrefix 2, more than it can say", sockets.LengthPrefix(2, 1<<20), 65535 + 2},
		{"Uvarint", sockets.Uvarint(0), 1<<20 + 10},
	}
	for _, tt := range tests {
		if got := tt.f.Max(); got != tt.want {
			t.Errorf("%s: Max is %d, want %d", tt.name, got, tt.want)
		}
	}
	for _, f := range []sockets.Framing{sockets.Lines(-1), sockets.LengthPrefix(8, -1), sockets.Uvarint(-1), sockets.Lines(math.MaxInt), sockets.Uvarint(math.MaxInt)} {
		if f.Max() <= 0 {
			t.Errorf("%+v: Max is %d", f, f.Max())
		}
	}
}

// fixed is a framing as users write it: messages of n bytes. At the end a shorter
// one counts.
type fixed int

func (f fixed) Max() int { return int(f) }

func (f fixed) Append(dst, m []byte) ([]byte, error) { return append(dst, m...), nil }

func (f fixed) Next(buf []byte, eof bool) ([]byte, int, int, error) {
	n := int(f)
	if eof {
		n = min(n, len(buf))
	}
	if len(buf) < n {
		return nil, 0, n, nil
	}
	return buf[:n], n, 0, nil
}

// scripted answers what it is told to.
type scripted func(buf []byte, eof bool) ([]byte, int, int, error)

func (scripted) Max() int                                            { return 8 }
func (scripted) Append(dst, m []byte) ([]byte, error)                { return append(dst, m...), nil }
func (s scripted) Next(b []byte, eof bool) ([]byte, int, int, error) { return s(b, eof) }

func TestUserFraming(t *testing.T) {
	odd := errors.New("odd")
	tests := []struct {
		name string
		f    sockets.Framing
		want []string
	}{
		{"fixed", fixed(4), []string{"abcd", "efgh", "ij"}},
		{"an error that stays", scripted(func([]byte, bool) ([]byte, int, int, error) { return nil, 0, 0, odd }), []string{"!odd"}},
		{"an error that goes on", scripted(func(b []byte, _ bool) ([]byte, int, int, error) {
			if b[0] < 'i' {
				return nil, 1, 0, sockets.ErrTooLong
			}
			return b[:1], 1, 0, nil
		}), []string{"!long", "!long", "!long", "!long", "!long", "!long", "!long", "!long", "i", "j"}},
		{"advances too far", scripted(func(b []byte, _ bool) ([]byte, int, int, error) { return b, len(b) + 1, 0, nil }), []string{"!advance"}},
		{"advances backwards", scripted(func(b []byte, _ bool) ([]byte, int, int, error) { return b, -1, 0, nil }), []string{"!advance"}},
		{"never finds one", scripted(func([]byte, bool) ([]byte, int, int, error) { return nil, 0, 0, nil }), []string{"!long"}},
		{"a nil message is an empty one", scripted(func(b []byte, _ bool) ([]byte, int, int, error) { return nil, len(b), 0, nil }), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := sockets.NewConn(&feed{parts: cut("abcdefghij", 3)}, tt.f)
			switch tt.name {
			case "fixed", "an error that goes on":
				if got := outcome(c); !slices.Equal(got, tt.want) {
					t.Errorf("%q, want %q", got, tt.want)
				}
			case "a nil message is an empty one":
				m, err := c.ReadMessage()
				if m == nil || len(m) != 0 || err != nil {
					t.Errorf("%#v, %v", m, err)
				}
			default:
				var first string
				for range 3 { // and again
					_, err := c.ReadMessage()
					if err == nil || err == io.EOF || first != "" && err.Error() != first {
						t.Fatalf("error %v, before it %q", err, first)
					}
					first = err.Error()
				}
				if want := strings.TrimPrefix(tt.want[0], "!"); !strings.Contains(first, want) {
					t.Errorf("error %q, want one with %q", first, want)
				}
			}
		})
	}
}

// own returns memory of its own from Append, which is nobody else's to lend.
type own struct{ memory []byte }

func (own) Max() int                                        { return 1 << 20 }
func (own) Next(b []byte, _ bool) ([]byte, int, int, error) { return b, len(b), 0, nil }
func (o own) Append(_, _ []byte) ([]byte, error)            { return o.memory, nil }

func TestAppendMayReturnMemoryOfItsOwn(t *testing.T) {
	f := own{bytes.Repeat([]byte("o"), 4096)}
	c := sockets.NewConn(&feed{}, f)
	if err := c.WriteMessage(nil); err != nil {
		t.Fatal(err)
	}
	for range 100 { // as many as might be lent
		other := sockets.NewConn(&feed{parts: []string{strings.Repeat("x", 3000) + "\n"}}, nil)
		if _, err := other.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	if bytes.IndexByte(f.memory, 'x') >= 0 {
		t.Error("another connection has read into it")
	}
}

func TestAppendToMessageKeepsTheNext(t *testing.T) {
	for name, f := range framings(100) {
		wire, _ := f.Append(nil, []byte("a"))
		wire, _ = f.Append(wire, []byte("next"))
		c := sockets.NewConn(&feed{parts: []string{string(wire)}}, f)
		m, _ := c.ReadMessage()
		_ = append(m, "!!!!!!!!"...)
		if m, err := c.ReadMessage(); string(m) != "next" || err != nil {
			t.Errorf("%s: the next message is %q, %v", name, m, err)
		}
	}
}
