package addr

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// hint finds a way to repair s: a text that reads well and that its author most
// probably meant, or else a sentence. Only what reads well is suggested, so a
// hint is never the next error.
func hint(t Transport, s string, e *ParseError) string {
	if e.Reason == ReasonTooLong {
		return ""
	}
	for _, repair := range append([]func(string) string{tidy}, repairs[e.Reason]...) {
		r := repair(s)
		if _, err := readParts(t, r); err == nil && r != s && len(r) <= 2*maxQuoted {
			return "did you mean " + strconv.Quote(r) + "?"
		}
	}
	if example := withPort(t, s, e.Reason); example != "" {
		return "write " + strconv.Quote(example) + ", or port 0 to listen at one that is free"
	}
	if e.Reason == ReasonBadHost && strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return `write the name's ASCII form, which begins with "xn--" (punycode)`
	}
	return advice[e.Reason]
}

// withPort shows where a missing port goes, with the one that textbooks use. A
// bare IPv6 address lacks one too, though its colons are found first.
func withPort(t Transport, s string, r Reason) string {
	if r != ReasonNoPort && r != ReasonColons {
		return ""
	}
	for _, host := range []string{s, "[" + s + "]"} {
		example := host + ":12000"
		if _, err := readParts(t, example); err == nil && len(example) <= 2*maxQuoted {
			return example
		}
	}
	return ""
}

// advice is for mistakes that cannot be repaired without guessing.
var advice = [...]string{
	ReasonEmpty:       `write host and port, such as "127.0.0.1:12000"`,
	ReasonControl:     "remove it",
	ReasonScheme:      "write host and port only; a unix socket has neither",
	ReasonUserinfo:    "write host and port only",
	ReasonPath:        `only "/tcp" or "/udp" may follow`,
	ReasonTransport:   `the transports are "/tcp" and "/udp"`,
	ReasonNoPort:      "write a colon and a port after the host",
	ReasonBrackets:    `write "[::1]:80" for IPv6, "host:80" for a name`,
	ReasonColons:      `one colon stands before the port, and an IPv6 address in brackets: "[::1]:80"`,
	ReasonBadPort:     "write a number, or 0 to listen at one that is free",
	ReasonPortRange:   "a port has 16 bits",
	ReasonBadIP:       "write four numbers from 0 to 255 without leading zeros, or an IPv6 address in brackets",
	ReasonZone:        `a zone is written "[fe80::1%eth0]:80"`,
	ReasonNumericHost: "write an IPv4 address as four decimal numbers",
	ReasonBadHost:     "a host name has letters, digits and hyphens, in parts between dots",
	ReasonNotLiteral:  "resolve the name first",
}

// repairs are tried in order, behind tidy, which mends many a mistake that shows as
// another; one that does not apply returns what does not read well. The last row
// gives the table a place for every reason.
var repairs = [...][]func(string) string{
	ReasonScheme:     {trimScheme, trimPath, urlPort},
	ReasonUserinfo:   {trimUser},
	ReasonPath:       {trimPath},
	ReasonTransport:  {strings.ToLower, trimPath},
	ReasonNoPort:     {barePort},
	ReasonBrackets:   {trimBrackets, rebracket, insertColon},
	ReasonColons:     {bracketHost},
	ReasonBadPort:    {plainPort},
	ReasonZone:       {plainZone},
	ReasonBadHost:    {trimSpaces, trimPrefix, starHost},
	ReasonNotLiteral: nil,
}

func trimScheme(s string) string { return s[schemeEnd(s):] }

// trimPath drops everything from the first slash of what may be a URL.
func trimPath(s string) string {
	s, _, _ = strings.Cut(trimScheme(s), "/")
	return s
}

// urlPort gives a URL without a port its scheme's.
func urlPort(s string) string {
	scheme, _, _ := strings.Cut(s, ":")
	port, ok := Service(TCP, scheme)
	if !ok {
		return ""
	}
	return trimPath(s) + ":" + strconv.Itoa(int(port))
}

func trimUser(s string) string { return s[strings.LastIndexByte(s, '@')+1:] }

// trimBrackets drops brackets, but joins nothing that they kept apart: "a[::1]" is
// not a::1.
func trimBrackets(s string) string {
	for i := range len(s) - 1 {
		if strings.IndexByte("[:", s[i]) < 0 && s[i+1] == '[' || s[i] == ']' && strings.IndexByte("]:%", s[i+1]) < 0 {
			return s
		}
	}
	return strings.NewReplacer("[", "", "]", "").Replace(s)
}

// bracketHost takes what follows the last colon for the port.
func bracketHost(s string) string {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s
	}
	return "[" + s[:i] + "]" + s[i:]
}

func rebracket(s string) string { return bracketHost(trimBrackets(s)) }

// insertColon mends "[::1]80".
func insertColon(s string) string { return strings.Replace(s, "]", "]:", 1) }

// barePort takes a lone number for a port. A lone service name is more likely
// the host that offers it.
func barePort(s string) string {
	if leadingDigits(s) < len(s) {
		return s
	}
	return ":" + s
}

// plainPort strips what readers disagree about from a number.
func plainPort(s string) string {
	i := strings.LastIndexByte(s, ':')
	port := strings.TrimLeft(strings.TrimSpace(s[i+1:]), "+0")
	return s[:i+1] + port
}

func trimSpaces(s string) string {
	host, port, _ := strings.Cut(s, ":")
	return strings.TrimSpace(host) + ":" + strings.TrimSpace(port)
}

// trimPrefix drops the length of an address prefix: "10.0.0.1/24:80".
func trimPrefix(s string) string {
	slash, colon := strings.IndexByte(s, '/'), strings.LastIndexByte(s, ':')
	if slash <= 0 || colon < slash {
		return s
	}
	return s[:slash] + s[colon:]
}

// starHost is what some programs call the wildcard.
func starHost(s string) string {
	rest, _ := strings.CutPrefix(s, "*")
	return rest
}

// plainZone drops a zone that the address cannot have.
func plainZone(s string) string {
	zone, end := strings.IndexByte(s, '%'), strings.LastIndexByte(s, ']')
	if end < 0 {
		end = strings.LastIndexByte(s, ':')
	}
	if zone <= 0 || end < zone {
		return s
	}
	return s[:zone] + s[end:]
}

// tidy replaces look-alikes and drops white space around the whole.
func tidy(s string) string { return strings.TrimSpace(asciiForms(s)) }

// asciiForms replaces the look-alikes that input methods produce: full-width
// digits, letters and punctuation (U+FF01 to U+FF5E), and other dots.
func asciiForms(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 0xFF01 && r <= 0xFF5E:
			return r - 0xFF01 + '!'
		case r == 0x3002 || r == 0xFF61:
			return '.'
		}
		return r
	}, s)
}
