package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// security is how connections are encrypted and who the client is.
type security struct {
	ca, cert, key, tokenFile *string
}

func securityFlags() security {
	return security{
		ca:        flag.String("ca", "", "PEM file of the CA of the server: turns TLS on"),
		cert:      flag.String("cert", "", "PEM file of the certificate of this client"),
		key:       flag.String("key", "", "PEM file of the key of -cert"),
		tokenFile: flag.String("token-file", "", "file of the token of this client, which is read for each call"),
	}
}

// tokenFile sends the token that is in a file now.
type tokenFile string

func (file tokenFile) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := os.ReadFile(string(file))
	return map[string]string{"authorization": "Bearer " + strings.TrimSpace(string(token))}, err
}

func (tokenFile) RequireTransportSecurity() bool { return true }

func (s security) dialOptions() ([]grpc.DialOption, error) {
	if *s.ca == "" {
		return []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, nil
	}
	pem, err := os.ReadFile(*s.ca)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", *s.ca)
	}
	if *s.cert != "" {
		pair, err := tls.LoadX509KeyPair(*s.cert, *s.key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(config))}
	if *s.tokenFile != "" {
		options = append(options, grpc.WithPerRPCCredentials(tokenFile(*s.tokenFile)))
	}
	return options, nil
}
