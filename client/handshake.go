package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"

	"example.com/sockets/internal/operr"
)

// handshakeError is a failure of TLS, on a connection that was made.
type handshakeError struct{ err error }

func (e handshakeError) Error() string { return "TLS handshake: " + operr.Bare(e.err).Error() }
func (e handshakeError) Unwrap() error { return e.err }

// Advice is what sockets.Explain says of it.
func (e handshakeError) Advice() string {
	var name x509.HostnameError
	var signer x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(e.err, context.Canceled):
		return "This program has cancelled it."
	case errors.As(e.err, &name):
		return "The server's certificate is for other names. Dial it by one of those, or say in TLS.ServerName which one to expect."
	case errors.As(e.err, &signer):
		return "Nobody whom this machine trusts has signed the server's certificate. If it is the right server, put the signer's certificate into TLS.RootCAs."
	case errors.As(e.err, &record):
		return "The server answers, but not in TLS: it may serve TLS at another port, or only after a command such as STARTTLS."
	case operr.IsTimeout(e.err):
		return "The server has accepted the connection and does not answer in TLS. It may speak another protocol, or wait for a command such as STARTTLS."
	}
	return "The server has accepted the connection, but TLS was not agreed upon: " + operr.Bare(e.err).Error() + ". Its log may know more."
}
