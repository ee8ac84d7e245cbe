package client_test

import (
	"testing"

	"example.com/sockets/addr"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustParse(t *testing.T, s string) addr.Endpoint {
	t.Helper()
	e, err := addr.Parse(addr.UDP, s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
