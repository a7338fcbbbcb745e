package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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

var errForeign = errors.New("the replica plays another tape")

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
