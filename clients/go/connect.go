package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"slices"
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

// dialOptions are those of every channel.
func dialOptions(ca string, token tokenFile) ([]grpc.DialOption, error) {
	transport := insecure.NewCredentials()
	if ca != "" {
		var err error
		if transport, err = credentials.NewClientTLSFromFile(ca, ""); err != nil {
			return nil, fmt.Errorf("--tls-ca: %w", err)
		}
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		// The defaults wait up to two minutes between attempts, and 20 s for each.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 2, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
	}
	if token == "" {
		return options, nil
	}
	if ca == "" {
		return nil, errors.New("--token-file needs --tls-ca: a token is not sent in plain text")
	}
	if _, err := token.read(); err != nil {
		return nil, fmt.Errorf("--token-file: %w", err)
	}
	return append(options, grpc.WithPerRPCCredentials(token)), nil
}

// tokenFile sends the token that is in a file now.
type tokenFile string

func (file tokenFile) read() (string, error) {
	token, err := os.ReadFile(string(file))
	return strings.TrimSpace(string(token)), err
}

func (file tokenFile) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := file.read()
	return map[string]string{"authorization": "Bearer " + token}, err
}

func (tokenFile) RequireTransportSecurity() bool { return true }

// dialAll makes a channel for unary calls, which go to all endpoints in turn.
func dialAll(endpoints []string, options []grpc.DialOption) (*grpc.ClientConn, error) {
	var replicas resolver.State
	for _, endpoint := range endpoints {
		// With TLS, the certificate of each replica must have its own name.
		address := resolver.Address{Addr: endpoint, ServerName: endpoint}
		replicas.Endpoints = append(replicas.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{address}})
	}
	list := manual.NewBuilderWithScheme("list")
	list.InitialState(replicas)
	return grpc.NewClient("list:///ticker", append(slices.Clip(options),
		grpc.WithResolvers(list),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithUnaryInterceptor(withDeadline),
	)...)
}

// withDeadline ends a call that waits for a replica, or for an answer, for too long.
func withDeadline(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn,
	call grpc.UnaryInvoker, options ...grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return call(ctx, method, request, reply, conn, options...)
}
