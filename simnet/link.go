package simnet

import (
	"cmp"
	"net/netip"
	"time"
)

// Link is what one direction between two hosts is like. The zero value is
// perfect: no delay, no limit.
type Link struct {
	// Latency is how long a packet travels.
	Latency time.Duration
	// Jitter is the most that is added to Latency, evenly spread, by the seed,
	// the flow and the ordinal. It never lets a packet overtake an earlier one of
	// its flow: only faults reorder.
	Jitter time.Duration
	// Bandwidth is in bytes per second, headers included; 0 or negative: no limit.
	// The flows between two hosts share it; which of two that send in the same
	// instant is first is up to the scheduler.
	Bandwidth int
	// Queue is how many bytes wait for the bandwidth, further packets are lost;
	// 0: 64 KiB, negative: no limit.
	Queue int
	// MTU is the longest IP packet; 0 or negative: what IP allows, 65,535 bytes and
	// on IPv6 its header besides. A longer datagram is
	// refused with EMSGSIZE, never fragmented; streams are cut into segments that
	// fit. Values under 576 (RFC 791) count as 576.
	MTU int
}

// mtu is the longest IP packet to an address.
func (l Link) mtu(to netip.Addr) int {
	switch {
	case l.MTU > 0:
		return max(576, l.MTU)
	case to.Is6():
		return 65535 + 40 // RFC 8200, 3: the length does not count the header
	}
	return 65535
}

// lineKey names one direction between two hosts, as the scripts call them.
type lineKey struct{ from, to string }

// line is a Link in use.
type line struct {
	Link
	free time.Time // when the bandwidth has sent what waits for it
	down bool
}

// path is one direction of one flow: what ordinals are counted on.
type path struct {
	pathKey
	line   *line
	sent   int       // ordinal of the latest packet
	bytes  int       // stream bytes carried, for Reset
	latest time.Time // arrival of the latest packet
	held   []*packet // by Swap
	seen   repeats
}

// pathKey names hosts and no ports: an ephemeral port would differ from run to
// run, and a client that changes its port would start to count anew.
type pathKey struct{ network, from, to string }

// compare orders paths by flow, then by direction.
func (p *path) compare(o *path) int {
	if p == o {
		return 0
	}
	return p.pathKey.compare(o.pathKey)
}

func (k pathKey) compare(o pathKey) int {
	return cmp.Or(
		cmp.Compare(k.network, o.network),
		cmp.Compare(min(k.from, k.to), min(o.from, o.to)),
		cmp.Compare(max(k.from, k.to), max(o.from, o.to)),
		cmp.Compare(k.from, o.from),
	)
}

// SetLink makes packets from one host to the other travel as l says, from now
// on; for both directions call it twice. Hosts are named as in the trace: what
// runs on localhost alone goes between "client" and "server".
func (n *Network) SetLink(from, to string, l Link) {
	n.lock()
	defer n.unlock()
	n.line(from, to).Link = l
}

// Partition loses everything between the two hosts, in both directions, until
// Heal. Packets that are on their way arrive.
func (n *Network) Partition(a, b string) { n.cut(a, b, true) }

// Heal ends a Partition.
func (n *Network) Heal(a, b string) { n.cut(a, b, false) }

func (n *Network) cut(a, b string, down bool) {
	n.lock()
	defer n.unlock()
	n.line(a, b).down = down
	n.line(b, a).down = down
}

// line is made when it is first asked for: hosts need not be known to be named.
func (n *Network) line(from, to string) *line {
	k := lineKey{from, to}
	l := n.lines[k]
	if l == nil {
		l = &line{Link: n.opt.Link}
		n.lines[k] = l
	}
	return l
}

func (n *Network) path(network, from, to string) *path {
	k := pathKey{network, from, to}
	p := n.paths[k]
	if p == nil {
		p = &path{pathKey: k, line: n.line(from, to)}
		n.paths[k] = p
	}
	return p
}

// cross says when a packet of that many bytes that leaves now arrives, or why it
// never does.
func (p *path) cross(now time.Time, size int, seed uint64) (arrive time.Time, cause string) {
	l := p.line
	if l.down {
		return now, "partition"
	}
	leaves, ok := l.leave(now, size)
	if !ok {
		return now, "link queue full"
	}
	arrive = leaves.Add(l.Latency)
	if l.Jitter > 0 {
		extra := time.Duration(p.chance(seed, p.sent, "jitter") * float64(l.Jitter))
		arrive = arrive.Add(extra.Truncate(time.Microsecond))
	}
	if arrive.Before(p.latest) {
		arrive = p.latest // a link is a queue: what left first arrives first
	}
	p.latest = arrive
	return arrive, ""
}

// leave takes the packet into the link's queue and says when its last bit has
// left it.
func (l *line) leave(now time.Time, size int) (time.Time, bool) {
	if l.Bandwidth <= 0 {
		return now, true
	}
	rate := float64(l.Bandwidth)
	waits := max(0, l.free.Sub(now))
	if int(waits.Seconds()*rate)+size > limit(l.Queue, 64<<10) {
		return now, false
	}
	l.free = now.Add(waits + time.Duration(float64(size)/rate*float64(time.Second)))
	return l.free, true
}
