package simnet

import (
	"cmp"
	"encoding/binary"
	"io"
	"net/netip"
	"slices"
	"time"
)

// WritePCAP is Trace().WritePCAP(w).
func (n *Network) WritePCAP(w io.Writer) error { return n.Trace().WritePCAP(w) }

// WritePCAP writes the trace as a capture file, in the classic format with
// nanoseconds and raw IP packets, which Wireshark, tshark and tcpdump read.
//
// Every packet of the trace is in it, at the time it left: lost ones too, as a
// capture at their sender has them, and damaged ones as they were delivered.
// Headers and checksums are made for it. To them come the acknowledgements that
// the trace has no rows for, one for each segment that arrived. Time 0 of the
// network is 0 in the file, 1 January 1970.
func (t Trace) WritePCAP(w io.Writer) error {
	const (
		magic = 0xa1b23c4d // nanoseconds
		rawIP = 101        // LINKTYPE_RAW
	)
	le := binary.LittleEndian
	out := le.AppendUint32(nil, magic)
	out = le.AppendUint16(out, 2) // version 2.4
	out = le.AppendUint16(out, 4)
	out = append(out, make([]byte, 8)...) // time zone and accuracy, always 0
	out = le.AppendUint32(out, 1<<18)     // the longest packet there may be
	out = le.AppendUint32(out, rawIP)
	streams := map[ends]*stream{}
	for i, f := range t.frames() {
		ip := f.packet(uint16(i), streams)
		out = le.AppendUint32(out, uint32(f.at/time.Second))
		out = le.AppendUint32(out, uint32(f.at%time.Second))
		out = le.AppendUint32(out, uint32(len(ip)))
		out = le.AppendUint32(out, uint32(len(ip)))
		out = append(out, ip...)
		if _, err := w.Write(out); err != nil {
			return err
		}
		out = out[:0]
	}
	_, err := w.Write(out) // the header, if there was no packet
	return err
}

// frame is an event as it leaves, or the acknowledgement of one as it arrives.
type frame struct {
	*Event
	at     time.Duration
	serial uint64
	ack    bool
}

// frames puts acknowledgements between the packets, as they happened.
func (t Trace) frames() []frame {
	var all []frame
	for i := range t.Events {
		e := &t.Events[i]
		all = append(all, frame{e, e.At, e.sent, false})
		if e.Network == "tcp" && e.Fate == Delivered && e.Flags != "SYN" && e.Flags != "RST" {
			all = append(all, frame{e, e.Arrived, e.came, true})
		}
	}
	slices.SortStableFunc(all, func(a, b frame) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.serial, b.serial))
	})
	return all
}

// ends name one direction of a connection.
type ends struct{ from, to netip.AddrPort }

// stream is how far one direction of a connection has come.
type stream struct {
	sent uint64 // after the last byte that left
	came uint64 // everything before has arrived
	late map[uint64]uint64
}

// streamOf finds a direction's stream, or begins it.
func streamOf(all map[ends]*stream, e ends) *stream {
	s := all[e]
	if s == nil {
		s = &stream{late: map[uint64]uint64{}}
		all[e] = s
	}
	return s
}

// arrived notes what a segment brought.
func (s *stream) arrived(seq, length uint64) {
	s.late[seq] = max(s.late[seq], length)
	for s.late[s.came] > 0 {
		length := s.late[s.came]
		delete(s.late, s.came)
		s.came += length
	}
}

// length is how many places of the stream a segment takes.
func (e *Event) length() uint64 {
	if e.Flags != "" && e.Flags != "RST" {
		return 1
	}
	return uint64(len(e.Data))
}

// packet makes the IP packet.
func (f frame) packet(id uint16, streams map[ends]*stream) []byte {
	if f.Network == "udp" {
		return ipPacket(id, 17, f.Source, f.Destination, 6, udpHeader(f.Packet), f.Data)
	}
	out := streamOf(streams, ends{f.Source, f.Destination})
	back := streamOf(streams, ends{f.Destination, f.Source})
	if f.ack {
		out.arrived(f.seq, f.length())
		h := tcpHeader(f.Destination.Port(), f.Source.Port(), back.sent, out.came, "ACK")
		return ipPacket(id, 6, f.Destination, f.Source, 16, h, nil)
	}
	if f.Flags == "SYN" && f.Fate == Delivered {
		out.arrived(0, 1) // the SYN ACK is its acknowledgement
	}
	seq := f.seq
	if f.Flags == "RST" {
		seq = out.sent
	}
	out.sent = max(out.sent, seq+f.length())
	h := tcpHeader(f.Source.Port(), f.Destination.Port(), seq, back.came, f.Flags)
	return ipPacket(id, 6, f.Source, f.Destination, 16, h, f.Data)
}

// udpHeader makes a header of RFC 768.
func udpHeader(p Packet) []byte {
	be := binary.BigEndian
	h := be.AppendUint16(nil, p.Source.Port())
	h = be.AppendUint16(h, p.Destination.Port())
	h = be.AppendUint16(h, uint16(8+len(p.Data)))
	return append(h, 0, 0)
}

// tcpHeader makes a header of RFC 9293. Streams begin at sequence number 1,000, so
// that what stands in the file can be read; the window never hinders anybody.
func tcpHeader(from, to uint16, seq, ack uint64, flags string) []byte {
	const base = 1000
	bits := map[string]byte{"SYN": 0x02, "SYN ACK": 0x12, "FIN": 0x11, "RST": 0x14, "ACK": 0x10, "": 0x18}
	var options []byte
	if flags == "SYN" || flags == "SYN ACK" {
		options = []byte{2, 4, 0xff, 0xc3, 1, 3, 3, 14} // segments of 65,475 bytes, window scale 14 (RFC 7323)
	}
	be := binary.BigEndian
	h := be.AppendUint16(nil, from)
	h = be.AppendUint16(h, to)
	h = be.AppendUint32(h, uint32(base+seq))
	if flags == "SYN" {
		h = be.AppendUint32(h, 0)
	} else {
		h = be.AppendUint32(h, uint32(base+ack))
	}
	h = append(h, byte(20+len(options))<<2, bits[flags])
	h = append(h, 0xff, 0xff, 0, 0, 0, 0) // window, checksum, urgent pointer
	return append(h, options...)
}

// ipPacket puts an IP header before the transport's and fills in the checksums;
// the transport's is at that place of its header.
func ipPacket(id uint16, protocol byte, from, to netip.AddrPort, checksumAt int, header, data []byte) []byte {
	be := binary.BigEndian
	src, dst := from.Addr().AsSlice(), to.Addr().AsSlice()
	length := len(header) + len(data)
	pseudo := sum(src) + sum(dst) + uint64(protocol) + uint64(length)
	check := fold(pseudo + sum(header) + sum(data))
	if check == 0 && protocol == 17 {
		check = 0xffff // 0 would mean that there is none: RFC 768
	}
	be.PutUint16(header[checksumAt:], check)
	var ip []byte
	if from.Addr().Is4() {
		ip = append(ip, 0x45, 0)
		ip = be.AppendUint16(ip, uint16(20+length))
		ip = be.AppendUint16(ip, id)
		ip = append(ip, 0x40, 0, 64, protocol, 0, 0) // don't fragment, 64 hops
		ip = append(append(ip, src...), dst...)
		be.PutUint16(ip[10:], fold(sum(ip)))
	} else {
		ip = append(ip, 0x60, 0, 0, 0)
		ip = be.AppendUint16(ip, uint16(length))
		ip = append(append(append(ip, protocol, 64), src...), dst...)
	}
	return append(append(ip, header...), data...)
}

// sum adds up 16-bit words as RFC 1071 does, without folding. Only the last of
// several parts may have an odd length.
func sum(b []byte) (s uint64) {
	for ; len(b) > 1; b = b[2:] {
		s += uint64(b[0])<<8 | uint64(b[1])
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return s
}

// fold is the complement of the sum in 16 bits, the end of RFC 1071's algorithm.
func fold(s uint64) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}
