package addr_test

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"example.com/sockets/addr"
)

func TestService(t *testing.T) {
	for _, c := range []struct {
		name     string
		tcp, udp uint16
	}{
		{"http", 80, 0}, {"HTTP", 80, 0}, {"https", 443, 443}, {"smtp", 25, 0},
		{"domain", 53, 53}, {"ntp", 0, 123}, {"tftp", 0, 69}, {"echo", 7, 7},
		{"shell", 514, 0}, {"syslog", 0, 514}, {"", 0, 0}, {"80", 0, 0}, {"http ", 0, 0},
		{"\u017fsh", 0, 0}, {"HTTP\x00", 0, 0}, {"ht", 0, 0}, {"h\x54tp", 80, 0}, {"@ttp", 0, 0},
	} {
		tcp, okTCP := addr.Service(addr.TCP, c.name)
		udp, okUDP := addr.Service(addr.UDP, c.name)
		if tcp != c.tcp || udp != c.udp || okTCP != (c.tcp != 0) || okUDP != (c.udp != 0) {
			t.Errorf("Service(%q) = %d %v, %d %v", c.name, tcp, okTCP, udp, okUDP)
		}
	}
	for _, wrong := range []addr.Transport{0, 3, 7, 8, 255} {
		if port, ok := addr.Service(wrong, "http"); ok {
			t.Errorf("transport %d has http at %d", wrong, port)
		}
	}
}

func TestServiceName(t *testing.T) {
	for s, want := range map[string]string{
		"127.0.0.1:80/tcp": "http", "127.0.0.1:80/udp": "", "[::1]:53/udp": "domain",
		"[::1]:514/tcp": "shell", "[::1]:514/udp": "syslog", "[::1]:43/tcp": "whois", "[::1]:0/tcp": "",
	} {
		if got := addr.ServiceName(addr.MustParse(0, s)); got != want {
			t.Errorf("ServiceName(%s) = %q, want %q", s, got, want)
		}
	}
}

// TestServiceTable: every row is a service name by RFC 6335, section 5.1, and
// has one port per transport.
func TestServiceTable(t *testing.T) {
	addr.Services(func(name string, tr addr.Transport, port uint16) {
		got, ok := addr.Service(tr, name)
		if got != port || !ok || port == 0 {
			t.Errorf("%s over %v: %d in the table, %d found", name, tr, port, got)
		}
		if len(name) > 15 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
			strings.Trim(name, "0123456789-") == "" || strings.Contains(name, "--") {
			t.Errorf("%q is no service name", name)
		}
		if addr.ServiceName(addr.Of(tr, netip.IPv6Loopback(), port)) == "" {
			t.Errorf("port %d over %v has no name", port, tr)
		}
	})
}

// TestServicesOfSystem compares with the list that the system has, which other
// people have drawn from the same registry.
func TestServicesOfSystem(t *testing.T) {
	list, err := os.ReadFile("/etc/services")
	if err != nil {
		t.Skip(err)
	}
	system := map[string]string{}
	for line := range strings.Lines(string(list)) {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) >= 2 {
			_, transport, _ := strings.Cut(f[1], "/")
			for _, name := range append(f[2:], f[0]) {
				system[name+"/"+transport] = f[1]
			}
		}
	}
	compared := 0
	addr.Services(func(name string, tr addr.Transport, port uint16) {
		want, ok := system[name+"/"+tr.String()]
		if !ok {
			return
		}
		compared++
		if got := strconv.Itoa(int(port)) + "/" + tr.String(); got != want {
			t.Errorf("%s is %s, the system says %s", name, got, want)
		}
	})
	t.Logf("%d services compared", compared)
}
