package addr

// Flow is what identifies a connection: a connection socket is told from the
// others of the same server by both its ends, while a welcoming socket has only
// its own. It is comparable and serves as a map key. The two ends of one
// connection see it as two flows, each the other with Local and Remote
// exchanged.
type Flow struct {
	Local  Endpoint // this end
	Remote Endpoint // the peer
}

// String returns both ends, such as
// "127.0.0.1:50000/tcp -> 127.0.0.1:80/tcp".
func (f Flow) String() string {
	b := f.Local.AppendTo(make([]byte, 0, 128))
	b = append(b, " -> "...)
	return string(f.Remote.AppendTo(b))
}
