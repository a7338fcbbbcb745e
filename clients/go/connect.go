package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// A copy, because `go:embed` does not reach files outside of the module.
//
//go:generate cp ../../docs/service-config.json service-config.json
//go:embed service-config.json
var serviceConfig string

// dialer connects in plain text, or with TLS and perhaps a token.
type dialer struct {
	ca, token string // Files, or empty.
}

// connect makes a channel. Calls go to the endpoints in turn.
func (d dialer) connect(endpoints ...string) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if d.ca != "" {
		var err error
		if transport, err = credentials.NewClientTLSFromFile(d.ca, ""); err != nil {
			return nil, fmt.Errorf("--tls-ca: %w", err)
		}
	}
	var replicas resolver.State
	for _, endpoint := range endpoints {
		// With TLS, the certificate of each replica must have its own name.
		replicas.Addresses = append(replicas.Addresses, resolver.Address{Addr: endpoint, ServerName: endpoint})
	}
	list := manual.NewBuilderWithScheme("list")
	list.InitialState(replicas)
	options := []grpc.DialOption{
		grpc.WithResolvers(list),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithTransportCredentials(transport),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		// The defaults wait up to two minutes between attempts, and 20 s for each.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 2, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
	}
	if d.token != "" {
		options = append(options, grpc.WithPerRPCCredentials(tokenFile(d.token)))
	}
	return grpc.NewClient("list:///ticker", options...)
}

// tokenFile sends the token that is in a file now.
type tokenFile string

func (file tokenFile) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := os.ReadFile(string(file))
	return map[string]string{"authorization": "Bearer " + strings.TrimSpace(string(token))}, err
}

func (tokenFile) RequireTransportSecurity() bool { return true }
