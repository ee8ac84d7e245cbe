package udpserver

import (
	"hash/maphash"
	"math"
	"net/netip"
	"sync"
	"time"
)

// places is how many sources are told apart at best. It is a power of two.
const places = 1 << 16

// sources knows what every source may still do, in a table of a fixed size. A
// place belongs to all sources that are hashed to it, so that nothing has to be
// thrown out and no flood can make the table forget what somebody has used up.
// Only to be validated is a matter of one source: the place knows which.
type sources struct {
	seed   maphash.Seed
	base   time.Time // the clock's zero
	rate   bucket
	factor int64
	table  []place
}

// place is what the sources of one hash share. Times are nanoseconds since base.
type place struct {
	mu      sync.Mutex
	next    int64  // when all that were taken have had their turn, for the rate
	credit  int64  // bytes that may be replied
	replies int32  // since the last pause
	paused  int64  // until then nothing is replied
	valid   source // whoever was validated last
	until   int64  // how long that holds; 0 if nobody was
}

// source is an IPv4 address in its IPv6 form, or a /64 with the rest 0.
type source [16]byte

// newSources returns nil if nothing is to be limited.
func newSources(l Limits) *sources {
	if l.Rate <= 0 && l.ReplyFactor <= 0 {
		return nil
	}
	return &sources{
		seed: maphash.MakeSeed(), base: time.Now(),
		rate: l.bucket(), factor: int64(min(max(l.ReplyFactor, 0), math.MaxInt32)),
		table: make([]place, places),
	}
}

func sourceKey(a netip.Addr) source {
	key := source(a.As16())
	if a.Is6() && !a.Is4In6() {
		clear(key[8:])
	}
	return key
}

func (s *sources) place(key source) *place {
	return &s.table[maphash.Bytes(s.seed, key[:])&(places-1)]
}

// admit reports whether the rate lets a datagram of so many bytes pass, and if so
// adds to what may be replied.
func (s *sources) admit(from netip.AddrPort, bytes int, now time.Time) bool {
	if s == nil || !from.IsValid() {
		return true
	}
	p := s.place(sourceKey(from.Addr()))
	t := int64(now.Sub(s.base))
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.rate.each > 0 {
		if p.next-t > s.rate.slack {
			return false
		}
		p.next = max(p.next, t) + s.rate.each
	}
	p.credit = min(p.credit+s.factor*int64(bytes), s.factor*maxSize)
	return true
}

// spend reports whether a reply of so many bytes to a datagram of from may go to
// that peer, and if so takes them out of its budget.
func (s *sources) spend(from, to netip.AddrPort, bytes int) bool {
	if s == nil || s.factor == 0 || !from.IsValid() || !to.IsValid() {
		return true
	}
	key := sourceKey(from.Addr())
	if to != from && sourceKey(to.Addr()) != key {
		return true
	}
	p := s.place(key)
	now := int64(time.Since(s.base))
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.valid == key && now < p.until:
		return true
	case now < p.paused || p.credit < int64(bytes):
		return false
	case p.replies == replyRun:
		p.replies, p.paused = 0, now+int64(replyPause)
		return false
	}
	p.replies++
	p.credit -= int64(bytes)
	return true
}

// validate lifts the budget for whoever is at from.
func (s *sources) validate(from netip.AddrPort) {
	if s == nil || s.factor == 0 || !from.IsValid() {
		return
	}
	key := sourceKey(from.Addr())
	p := s.place(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.valid, p.until = key, int64(time.Since(s.base)+validFor)
}
