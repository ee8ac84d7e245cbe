package addr_test

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

// queries counts what would have gone to a name server.
var queries atomic.Int64

var errOffline = errors.New("no name server in tests")

// TestMain replaces the system's resolver for all tests: nothing here depends
// on the network around it, and a query by mistake is seen.
func TestMain(m *testing.M) {
	net.DefaultResolver = &net.Resolver{
		PreferGo: true,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			queries.Add(1)
			return nil, errOffline
		},
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit))
}

// noQueries fails the test if its body asked a name server.
func noQueries(t *testing.T) {
	before := queries.Load()
	t.Cleanup(func() {
		if n := queries.Load() - before; n != 0 {
			t.Errorf("%d DNS queries", n)
		}
	})
}
