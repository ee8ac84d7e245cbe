package addr

import "strconv"

// invalidText is what an invalid endpoint prints as. It is no address, so that
// nothing dials it by accident.
const invalidText = "invalid endpoint"

// String returns the canonical text, such as "127.0.0.1:80/tcp" or
// "[fe80::1%eth0]:53/udp" (RFC 5952), which [Parse] and UnmarshalText read
// back to an equal value; an invalid endpoint is "invalid endpoint".
func (e Endpoint) String() string {
	if !e.IsValid() {
		return invalidText
	}
	return string(e.AppendTo(make([]byte, 0, 64)))
}

// AppendTo appends what String returns to b, without allocating when b has
// room, and returns the extended slice.
func (e Endpoint) AppendTo(b []byte) []byte {
	if !e.IsValid() {
		return append(b, invalidText...)
	}
	b = e.appendHostPort(b)
	b = append(b, '/')
	return append(b, e.transport.String()...)
}

// HostPort returns address and port in the form that net.Dial takes, such as
// "127.0.0.1:80" or "[::1]:80", and "" for an invalid endpoint.
func (e Endpoint) HostPort() string {
	if !e.IsValid() {
		return ""
	}
	return string(e.appendHostPort(make([]byte, 0, 64)))
}

// appendHostPort spells out what netip.AddrPort does, since the brackets are
// this package's grammar and what it prints must be what it reads.
func (e Endpoint) appendHostPort(b []byte) []byte {
	if e.ip.Is4() {
		b = e.ip.AppendTo(b)
	} else {
		b = append(b, '[')
		b = e.ip.AppendTo(b)
		b = append(b, ']')
	}
	b = append(b, ':')
	return strconv.AppendUint(b, uint64(e.port), 10)
}

// MarshalText implements [encoding.TextMarshaler] with the text of String, by
// which encoding/json writes an endpoint as a string. An invalid endpoint is
// the empty text. The error is always nil.
func (e Endpoint) MarshalText() ([]byte, error) { return e.AppendText(nil) }

// AppendText implements [encoding.TextAppender]: it appends what MarshalText
// returns.
func (e Endpoint) AppendText(b []byte) ([]byte, error) {
	if !e.IsValid() {
		return b, nil
	}
	return e.AppendTo(b), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]. It reads what [Parse]
// does, and the suffix that says the transport must be there. The empty text
// gives the invalid endpoint. An error is a *[ParseError] and leaves e alone.
func (e *Endpoint) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*e = Endpoint{}
		return nil
	}
	parsed, err := Parse(0, string(text))
	if err == nil {
		*e = parsed
	}
	return err
}
