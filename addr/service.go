package addr

// Service returns the port that IANA has assigned to a service over t, such as
// 80 for "http" over TCP, and whether there is one. Case does not matter. The
// table is built in, so the answer is the same on every system; it has the
// services that are in use, each with the transports that its protocol is
// defined for (HTTP over TCP, HTTPS over both since HTTP/3).
func Service(t Transport, name string) (port uint16, ok bool) {
	for i := range services {
		s := &services[i]
		if s.over(t) && isService(s.name, name) {
			return s.port, true
		}
	}
	return 0, false
}

// isService compares with a name of the table, of which every byte is lower case
// ASCII. Unicode's folding would take more for it: U+017F for an s, U+212A for a k.
func isService(known, name string) bool {
	if len(known) != len(name) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != known[i] {
			return false
		}
	}
	return true
}

// ServiceName returns the name of the service that e's port is assigned to, and
// "" if the table of [Service] has none. It says nothing about which process
// really has the port.
func ServiceName(e Endpoint) string {
	for i := range services {
		if s := &services[i]; s.over(e.transport) && s.port == e.port {
			return s.name
		}
	}
	return ""
}

// service is one row of the registry.
type service struct {
	name       string
	port       uint16
	transports transports
}

// transports is a set.
type transports uint8

const (
	onTCP transports = 1 << TCP
	onUDP transports = 1 << UDP
	both             = onTCP | onUDP
)

func (s *service) over(t Transport) bool { return s.transports&(1<<t) != 0 }
