package simnet

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// Script says which packets are harmed. Its faults are asked in order about every
// packet, and what several of them do to one packet adds up. Decisions depend on
// the flow, the direction, the ordinal and seeds alone, never on time, so a
// program whose flows each send a determined sequence meets the same faults in
// every run.
//
// A Script is not changed while in use; several networks may share one.
type Script []Fault

// Fault is one line of a Script. Without From, To and On it applies to every
// flow, to both directions and to both transports, each of which counts its own
// packets from 1.
type Fault struct {
	from, to, network string
	judge             func(*Packet, *verdict)
}

// verdict is what the script says about one packet.
type verdict struct {
	cause   string
	lose    bool
	copies  int
	delay   time.Duration
	corrupt bool
	cut     int // bytes left, -1: all
	hold    int // go after this ordinal
	reset   int // bytes that still pass before the connection is reset, -1: no reset
}

func (v *verdict) because(cause string) { v.cause = join(v.cause, cause) }

// judge asks every fault.
func (s Script) judge(p *Packet, v *verdict) {
	for _, f := range s {
		if f.judge != nil && f.applies(p) { // the zero Fault does nothing
			f.judge(p, v)
		}
	}
}

func (f Fault) applies(p *Packet) bool {
	return (f.from == "" || f.from == p.From) && (f.to == "" || f.to == p.To) &&
		(f.network == "" || f.network == p.Network)
}

// From restricts the fault to packets from the host of that name.
func (f Fault) From(host string) Fault { f.from = host; return f }

// To restricts the fault to packets to the host of that name.
func (f Fault) To(host string) Fault { f.to = host; return f }

// On restricts the fault to a network, "tcp" or "udp".
func (f Fault) On(network string) Fault { f.network = network; return f }

// Drop loses the packets with those ordinals.
func Drop(ordinals ...int) Fault {
	name := "Drop(" + strings.Trim(strings.ReplaceAll(fmt.Sprint(ordinals), " ", ", "), "[]") + ")"
	return dropIf(name, func(p *Packet) bool { return slices.Contains(ordinals, p.N) })
}

// DropEvery loses every k-th packet: k, 2k, 3k and so on; k below 1 loses none.
func DropEvery(k int) Fault {
	return dropIf(fmt.Sprintf("DropEvery(%d)", k), func(p *Packet) bool { return k > 0 && p.N%k == 0 })
}

// DropIf loses the packets for which lost returns true. It is called with the
// network locked, once per packet and in their order, so it must not use the
// network.
func DropIf(lost func(Packet) bool) Fault {
	return dropIf("DropIf", func(p *Packet) bool { return lost(*p) })
}

// dropIf is DropIf under another name in the trace.
func dropIf(name string, hit func(*Packet) bool) Fault {
	return Fault{judge: func(p *Packet, v *verdict) {
		if hit(p) {
			v.lose = true
			v.because(name)
		}
	}}
}

// on makes the fault that does something to the packet with ordinal n.
func on(n int, name string, do func(*Packet, *verdict)) Fault {
	return Fault{judge: func(p *Packet, v *verdict) {
		if p.N == n {
			do(p, v)
			v.because(name)
		}
	}}
}

// Duplicate delivers packet n twice.
func Duplicate(n int) Fault {
	return on(n, fmt.Sprintf("Duplicate(%d)", n), func(_ *Packet, v *verdict) { v.copies++ })
}

// Delay lets packet n travel for d longer. Packets behind it are not delayed and
// may overtake it.
func Delay(n int, d time.Duration) Fault {
	return on(n, fmt.Sprintf("Delay(%d, %v)", n, d), func(_ *Packet, v *verdict) { v.delay += d })
}

// Swap delivers packet n only after packet m, which is sent later. If m is never
// sent, n never arrives; a TCP segment is then transmitted again.
func Swap(n, m int) Fault {
	return on(n, fmt.Sprintf("Swap(%d, %d)", n, m), func(_ *Packet, v *verdict) { v.hold = max(v.hold, m) })
}

// Corrupt flips one bit in the payload of packet n. A datagram is delivered so,
// an empty one is lost; TCP's checksum finds the damage, and the segment is
// transmitted again.
func Corrupt(n int) Fault {
	return on(n, fmt.Sprintf("Corrupt(%d)", n), func(_ *Packet, v *verdict) { v.corrupt = true })
}

// Truncate cuts the payload of datagram n to size bytes. A TCP segment so cut
// counts as lost and is transmitted again.
func Truncate(n, size int) Fault {
	return on(n, fmt.Sprintf("Truncate(%d, %d)", n, size), func(_ *Packet, v *verdict) { v.cut = max(0, size) })
}

// Reset lets n bytes of a flow's streams pass in one direction, then resets the
// connection that carries the next one, as a middlebox does: both ends get a RST.
// It happens once per flow and direction. Use From or To to choose one.
func Reset(n int) Fault {
	name := fmt.Sprintf("Reset(%d)", n)
	return Fault{network: "tcp", judge: func(p *Packet, v *verdict) {
		if p.carried >= 0 && p.carried <= n && n < p.carried+len(p.Data) {
			v.reset = n - p.carried
			v.because(name)
		}
	}}
}

// Odds are the chances of Random, each from 0 (never) to 1 (always).
type Odds struct {
	Drop      float64       // of a loss
	Duplicate float64       // of arriving twice
	Corrupt   float64       // of one flipped bit
	Delay     float64       // of an extra delay
	MaxDelay  time.Duration // that delay is between 0 and this
}

// Random harms packets by chance. The chances of a packet follow from the seed,
// its flow, direction and ordinal alone, so one seed gives one and the same
// network in every run; see Seed for one made from a name.
func Random(seed uint64, o Odds) Fault {
	return Fault{judge: func(p *Packet, v *verdict) {
		at := p.flow()
		hit := func(what string, odds float64) bool {
			if at.chance(seed, p.N, what) >= odds {
				return false
			}
			v.because("Random " + what)
			return true
		}
		v.lose = hit("drop", o.Drop) || v.lose
		v.corrupt = hit("corrupt", o.Corrupt) || v.corrupt
		if hit("duplicate", o.Duplicate) {
			v.copies++
		}
		if hit("delay", o.Delay) {
			extra := time.Duration(at.chance(seed, p.N, "delay by") * float64(o.MaxDelay))
			v.delay += extra.Truncate(time.Microsecond)
		}
	}}
}

// Seed makes a seed from a name, so that every student's id gives another
// network, and always the same one.
func Seed(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

// chance is a number from [0, 1) that follows from its arguments alone.
func (k pathKey) chance(seed uint64, n int, what string) float64 {
	h := Seed(k.network + "\x00" + k.from + "\x00" + k.to + "\x00" + what)
	return float64(mix(mix(h^seed)+uint64(n))>>11) / (1 << 53)
}

// mix is the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
