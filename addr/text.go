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

// appendHostPort does what netip.AddrPort's AppendTo does, whose text is the
// same; it is spelt out since the brackets are this package's grammar.
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
