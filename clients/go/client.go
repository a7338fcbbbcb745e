package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/ticker-client/tickerv1"
)

const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = time.Second
	// A stream without any message for this long is broken: the server sends a heartbeat every 5 s.
	silence = 15 * time.Second
)

// After these, another attempt may help. Errors of our own, and the end of a stream, count as Unknown.
var retryable = []codes.Code{
	codes.Unavailable, codes.Canceled, codes.Unknown, codes.DeadlineExceeded,
	codes.Aborted, codes.Internal, codes.ResourceExhausted,
}

// A call about a symbol that is refused ends with one of these. Watch says why it is.
var refusals = []codes.Code{codes.NotFound, codes.PermissionDenied, codes.InvalidArgument}

var errForeign = errors.New("the replica plays another tape")

// A copy, because `go:embed` does not reach files outside of the module.
//
//go:generate cp ../../docs/service-config.json service-config.json
//go:embed service-config.json
var serviceConfig string

type client struct {
	endpoints, symbols []string
	ca, token          string // Files, or empty.

	// What a resume needs: the tape, and the last sequence of each symbol.
	tapeID string
	last   map[string]uint64

	ticked  bool            // Whether the stream has sent a tick.
	backoff time.Duration   // Until the next round of the endpoints.
	json    bool            // Whether events are printed as JSON.
	named   map[string]bool // Events whose header was printed.
}

// connect makes a channel. Calls go to the endpoints in turn.
func (c *client) connect(endpoints ...string) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if c.ca != "" {
		var err error
		if transport, err = credentials.NewClientTLSFromFile(c.ca, ""); err != nil {
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
			Backoff:           backoff.Config{BaseDelay: minBackoff, Multiplier: 2, Jitter: 0.2, MaxDelay: maxBackoff},
			MinConnectTimeout: 3 * time.Second,
		}),
	}
	if c.token != "" {
		options = append(options, grpc.WithPerRPCCredentials(tokenFile(c.token)))
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

// history prints the identity of the tape and the last five minutes of each symbol.
func (c *client) history(conn *grpc.ClientConn) error {
	// A deadline for all calls together.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	service := tickerv1.NewTickerStreamServiceClient(conn)
	tape, err := service.GetTape(ctx, &tickerv1.GetTapeRequest{})
	if err != nil {
		return err
	}
	now := tape.Time.AsTime()
	c.print("tape", "tape_id", tape.TapeId, "time", now)
	for _, symbol := range c.symbols {
		request := &tickerv1.ListCandlesRequest{
			Symbol:    symbol,
			Interval:  durationpb.New(time.Minute),
			StartTime: timestamppb.New(now.Add(-5 * time.Minute)),
			EndTime:   tape.Time,
		}
		for more := true; more; more = request.PageToken != "" {
			page, err := service.ListCandles(ctx, request)
			if slices.Contains(refusals, status.Code(err)) {
				break
			}
			if err != nil {
				return err
			}
			for _, candle := range page.Candles {
				c.print("candle", "symbol", symbol, "open_time", candle.OpenTime.AsTime(), "open", candle.OpenPrice,
					"high", candle.HighPrice, "low", candle.LowPrice, "close", candle.ClosePrice, "volume", candle.Volume)
			}
			request.PageToken = page.NextPageToken
		}
	}
	return nil
}

// watch follows one endpoint after the other, until the context ends or no endpoint can go on.
func (c *client) watch(ctx context.Context) error {
	for c.backoff = minBackoff; ; c.backoff = min(2*c.backoff, maxBackoff) {
		foreign := 0
		for _, endpoint := range c.endpoints {
			c.ticked = false
			err := c.follow(ctx, endpoint)
			// The token file has a fresh token by now, which the next stream sends.
			expired := c.ticked && status.Code(err) == codes.Unauthenticated
			switch {
			case ctx.Err() != nil:
				return nil
			case !expired && !slices.Contains(retryable, status.Code(err)):
				return err
			case errors.Is(err, errForeign):
				foreign++
			}
			c.print("disconnected", "endpoint", endpoint, "reason", err.Error())
		}
		if foreign == len(c.endpoints) {
			return fmt.Errorf("no endpoint plays the tape %s any more", c.tapeID)
		}
		// Random, so that the clients of a failed replica do not all come back together.
		time.Sleep(rand.N(c.backoff))
	}
}

// follow reads one stream. The error says why it ended.
func (c *client) follow(ctx context.Context, endpoint string) error {
	// A fresh channel has neither a backoff to wait for nor a dead connection to discover.
	conn, err := c.connect(endpoint)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(silence, func() { cancel(fmt.Errorf("no message for %v", silence)) })
	defer silent.Stop()

	stream, err := tickerv1.NewTickerStreamServiceClient(conn).Watch(ctx, &tickerv1.WatchRequest{
		Symbols:       c.symbols,
		Delivery:      tickerv1.Delivery_DELIVERY_EVERY_TICK,
		Detail:        tickerv1.Detail_DETAIL_QUOTE,
		AfterSequence: c.last,
		TapeId:        c.tapeID,
	}, grpc.WaitForReady(false)) // When the endpoint is down, the next one is tried at once.
	for err == nil {
		var response *tickerv1.WatchResponse
		silent.Reset(silence)
		if response, err = stream.Recv(); err == nil {
			err = c.handle(endpoint, response)
		}
	}
	// Recv reports its cancellation; the cause of that says more.
	return cmp.Or(context.Cause(ctx), err)
}

func (c *client) handle(endpoint string, response *tickerv1.WatchResponse) error {
	switch event := response.Event.(type) {
	case *tickerv1.WatchResponse_SubscriptionResult:
		result := event.SubscriptionResult
		if c.tapeID != "" && c.tapeID != result.TapeId {
			return errForeign
		}
		c.tapeID = result.TapeId
		c.print("connected", "endpoint", endpoint, "tape_id", c.tapeID)
		for _, status := range result.Statuses {
			if status.Code != tickerv1.SymbolStatusCode_SYMBOL_STATUS_CODE_SUBSCRIBED {
				c.print("refused", "symbol", status.Symbol, "message", status.Message)
			}
		}
	case *tickerv1.WatchResponse_Tick:
		tick := event.Tick
		if last, known := c.last[tick.Symbol]; known && tick.Sequence != last+1 {
			return fmt.Errorf("%s went from %d to %d without a gap", tick.Symbol, last, tick.Sequence)
		}
		c.last[tick.Symbol] = tick.Sequence
		c.ticked, c.backoff = true, minBackoff
		bid, ask := float64(tick.Quote.GetBidNanos())/1e9, float64(tick.Quote.GetAskNanos())/1e9
		c.print("tick", "symbol", tick.Symbol, "sequence", tick.Sequence, "ltp", tick.Ltp,
			"time", tick.Time.AsTime(), "bid", bid, "ask", ask, "snapshot", tick.Snapshot)
	case *tickerv1.WatchResponse_Gap:
		gap := event.Gap
		c.last[gap.Symbol] = gap.LastSequence
		c.print("gap", "symbol", gap.Symbol, "first_sequence", gap.FirstSequence, "last_sequence", gap.LastSequence)
	case *tickerv1.WatchResponse_CaughtUp:
		c.print("caught_up", "symbol", event.CaughtUp.Symbol, "sequence", event.CaughtUp.Sequence)
	case *tickerv1.WatchResponse_Draining:
		return errors.New("the replica is draining")
	}
	return nil
}
