package addr

// Reason is the kind of mistake in an address. It is an error, so that
// errors.Is(err, addr.ReasonNoPort) asks for one kind; a [ParseError] carries
// the rest.
type Reason uint8

// The mistakes that [Parse], [Split], [Resolve] and UnmarshalText tell apart.
const (
	ReasonEmpty       Reason = 1 + iota // nothing at all
	ReasonTooLong                       // longer than any address can be
	ReasonControl                       // a control character, such as a line end that was not trimmed
	ReasonScheme                        // a URL, or a network such as "unix:" in front
	ReasonUserinfo                      // a user in front, as in "user@host:22"
	ReasonPath                          // something after the port that is no transport
	ReasonTransport                     // the suffix /tcp or /udp is missing, disagrees or is misspelt
	ReasonNoPort                        // only a host
	ReasonBrackets                      // missing, unbalanced, or around what is no IPv6 address
	ReasonColons                        // more than one outside brackets
	ReasonBadPort                       // empty, leading zeros, or no service of that transport
	ReasonPortRange                     // over 65535
	ReasonBadIP                         // looks like an IP address and is none
	ReasonZone                          // empty or impossible, or on an address that cannot have one
	ReasonNumericHost                   // a number that some resolvers take for an IPv4 address
	ReasonBadHost                       // no host name by RFC 1123
	ReasonNotLiteral                    // a host name, where only an IP address will do
)

var reasonTexts = [...]string{
	ReasonEmpty:       "the address is empty",
	ReasonTooLong:     "longer than any address",
	ReasonControl:     "contains a control character",
	ReasonScheme:      "a scheme is not part of an address",
	ReasonUserinfo:    "a user is not part of an address",
	ReasonPath:        "text after the port",
	ReasonTransport:   "wrong transport",
	ReasonNoPort:      "no port",
	ReasonBrackets:    "brackets belong around an IPv6 address, and nowhere else",
	ReasonColons:      "too many colons",
	ReasonBadPort:     "bad port",
	ReasonPortRange:   "port out of range",
	ReasonBadIP:       "bad IP address",
	ReasonZone:        "bad zone",
	ReasonNumericHost: "a number is not a host",
	ReasonBadHost:     "bad host name",
	ReasonNotLiteral:  "a name, not an IP address",
}

// Error returns the mistake in a few words.
func (r Reason) Error() string {
	if int(r) < len(reasonTexts) && reasonTexts[r] != "" {
		return reasonTexts[r]
	}
	return "bad address"
}
