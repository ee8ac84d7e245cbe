package sockets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"example.com/sockets/addr"
	"example.com/sockets/internal/errno"
	"example.com/sockets/internal/operr"
)

// Explain says in words what probably caused err and what to do next, for a person
// who runs the program. It knows the errors of this module and of the net package;
// of any other it returns the text, and of nil nothing. Print it beside err, which
// has the details, and decide by errors.Is, as the words may change.
func Explain(err error) string {
	if err == nil {
		return ""
	}
	if text := explainAddress(err); text != "" {
		return text
	}
	var own interface{ Advice() string }
	if errors.As(err, &own) {
		return own.Advice()
	}
	s := subjectOf(err)
	for _, e := range explanations {
		if e.when(err, s) {
			return strings.NewReplacer("{local}", s.local, "{remote}", s.remote, "{port}", s.port).Replace(e.text)
		}
	}
	return err.Error()
}

// subject is what an error is about, in words that fit into a sentence.
type subject struct {
	op                  string
	udp                 bool
	local, remote, port string
}

func subjectOf(err error) subject {
	s := subject{local: "that address", remote: "the peer", port: "PORT"}
	var local, remote addr.Endpoint
	var ours *operr.Error
	var nets *net.OpError
	if errors.As(err, &nets) {
		s.op = nets.Op
		local, remote = endpoint(nets.Source), endpoint(nets.Addr)
		if s.op == "listen" {
			local, remote = remote, local
		}
	}
	if errors.As(err, &ours) {
		s.op = ours.Op
		local, remote = or(ours.Local, local), or(ours.Remote, remote)
	}
	if local.IsValid() {
		s.local, s.port, s.udp = local.String(), fmt.Sprint(local.Port()), local.Transport() == addr.UDP
	}
	if remote.IsValid() {
		s.remote, s.udp = remote.String(), remote.Transport() == addr.UDP
	}
	return s
}

func or(e, other addr.Endpoint) addr.Endpoint {
	if e.IsValid() {
		return e
	}
	return other
}

// explanation is one row of what Explain knows. The first that fits is taken.
type explanation struct {
	when func(error, subject) bool
	text string
}

var explanations = []explanation{
	{is(ErrDraining), "The server is stopping and this connection was idle. This is its ordinary end."},
	{is(ErrIdle), "Nothing was received for longer than Timeouts.Idle. This is the ordinary end of a client that went away quietly; raise the limit if clients may pause that long."},
	{is(ErrMessage), "A message had begun and did not end in time: the sender is very slow, has stopped in the middle, or forgets the end of its messages (with Lines, the newline)."},
	{is(ErrWrite), "{remote} has not read for so long that its buffers are full. It hangs, or it never reads; if it is only slow, raise Timeouts.Write."},
	{is(ErrHandshake), "The peer connected and did not complete what comes before the handler. It may speak no TLS, send no PROXY header, or be a probe; if it is only slow, raise Timeouts.Handshake."},
	{is(ErrLifetime), "The connection has lived as long as Timeouts.Lifetime lets it. This is its ordinary end; clients connect again."},
	{is(ErrMinRate), "{remote} is slower than Timeouts.MinRate. It is on a very bad line, or holds the connection on purpose."},
	{is(ErrCutOff), "The handler was still busy when the grace period of the stop ended. Let it heed Conn.Draining or its context, or raise Timeouts.Grace."},
	{is(ErrEvicted), "The server was at its limit of connections, and this one had been idle the longest. Raise Limits.Conns, or let clients close what they do not use."},
	{is(ErrDelimiter), "The message contains the byte that ends a message, so that the peer would take it for two. Send it in parts, or use LengthPrefix."},
	{is(ErrTruncated), "The datagram was longer than the buffer, and its rest is lost. Raise the maximum size, or let the sender send less."},
	{about(syscall.EMSGSIZE), "A datagram carries at most 65,507 bytes over IPv4 and 65,527 over IPv6, less on some systems, and is safe from fragmentation up to about 1,200. Send less at a time, or use TCP."},
	{is(ErrTooLong), "The message is longer than the framing allows. Raise its maximum if that is right; otherwise the peer speaks another protocol, or forgets to end its messages."},
	{about(syscall.EADDRINUSE), "{local} is held by another socket, perhaps by an earlier run of this program. See which one: ss -anp 'sport = :{port}'. Or use port 0, and let the system choose."},
	{bounced, "A datagram to {remote} came back: no process has that port. Is the server running, and on this address and port?"},
	{about(syscall.ECONNREFUSED), "No process listens on {remote}: its host has answered so. Is the server running, and on this address and port?"},
	{noSuchPath, "There is no unix socket of that name. Is the server running, and is this its path?"},
	{is(errUnread), "{remote} has sent something before it was asked, such as a greeting, or answered something twice. Read that with ReadMessage first."},
	{bindDenied, "This program may not use that port. Ports below 1024 are often privileged: choose 1024 or higher."},
	{about(syscall.EACCES, syscall.EPERM), "The system forbids it: a firewall rule, a missing privilege, or the permissions of a unix socket."},
	{noSuchLocal, "{local} is not an address of this machine. Bind 127.0.0.1 to serve this machine only, an empty host for every interface, or look at: ip address."},
	{about(syscall.EADDRNOTAVAIL), "There was no local address and port for another connection to {remote}: its address is unreachable from here, or too many connections were opened and closed lately. Keep one open and reuse it."},
	{about(syscall.EMFILE, syscall.ENFILE), "The process, or the system, has no file descriptor left. Close what is not used, lower the limit on connections, or raise it: ulimit -n."},
	{about(syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN), "There is no way to {remote} from here. Is the network up, and the address right?"},
	{unknownHost, "The name has no address. Is it spelt right, and the name server reachable?"},
	{is(context.Canceled), "This program has cancelled it."},
	{timedOutDialling, "{remote} has not answered in time: its host is down or does not exist, or a firewall drops what is sent to it."},
	{timedOut, "No answer from {remote} within the time that this program allows. It may be slow or gone; UDP loses datagrams without a word."},
	{about(syscall.ETIMEDOUT), "The system has given up on {remote}, which has not acknowledged anything for minutes: its host or the way to it is down."},
	{about(syscall.ECONNRESET, syscall.ECONNABORTED), "{remote} has discarded the connection: it crashed, or closed it without reading all that was sent. What was written last may be lost."},
	{about(syscall.EPIPE), "{remote} has closed the connection. Earlier writes that succeeded may be lost as well: only an answer proves that the peer got something."},
	{is(errNoReply), "{remote} has closed the connection instead of answering. It may have refused the request, failed on it, or been stopped: its log knows."},
	{is(io.ErrUnexpectedEOF), "{remote} ended its sending in the middle of a message: it failed, or does not end its last message (with Lines, the newline is missing)."},
	{is(net.ErrClosed), "This program has closed the connection, the listener or the socket itself."},
	{is(io.EOF), "{remote} has ended its sending. This is the ordinary end."},
}

func is(target error) func(error, subject) bool {
	return func(err error, _ subject) bool { return errors.Is(err, target) }
}

func about(es ...syscall.Errno) func(error, subject) bool {
	return func(err error, _ subject) bool { return errno.In(err, es...) }
}

func bounced(err error, s subject) bool { return s.udp && errno.Is(err, syscall.ECONNREFUSED) }

func noSuchPath(err error, s subject) bool {
	return strings.HasPrefix(s.op, "dial") && errno.Is(err, syscall.ENOENT)
}

func bindDenied(err error, s subject) bool { return s.op == "listen" && errno.Is(err, syscall.EACCES) }

func noSuchLocal(err error, s subject) bool {
	return s.op == "listen" && errno.Is(err, syscall.EADDRNOTAVAIL)
}

func timedOut(err error, _ subject) bool { return IsTimeout(err) }

func timedOutDialling(err error, s subject) bool { return s.op == "dial" && IsTimeout(err) }

func unknownHost(err error, _ subject) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// explainAddress explains what is wrong with an address as it was written: package
// addr says it by itself, the net package not in every case.
func explainAddress(err error) string {
	var ours *addr.ParseError
	if errors.As(err, &ours) {
		return ours.Error() + "."
	}
	var nets *net.AddrError
	if !errors.As(err, &nets) {
		return ""
	}
	if nets.Err == "invalid port" { // of which it gives the port alone
		return fmt.Sprintf("Port %q is outside 0 to 65535.", nets.Addr)
	}
	if _, _, err := addr.Split(addr.TCP, nets.Addr); errors.As(err, &ours) {
		return ours.Error() + "."
	}
	return nets.Error()
}
