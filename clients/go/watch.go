package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/ticker-client/tickerv1"
)

// A stream without any message for this long is broken: the server sends a heartbeat every 5 s.
const silence = 15 * time.Second

// Why a stream was left.
var (
	errDraining = errors.New("the replica is draining")
	errForeign  = errors.New("the replica plays another tape")
	errRenewed  = errors.New("the token was renewed")
	errSilent   = fmt.Errorf("no message for %v", silence)
)

// watcher watches symbols at one endpoint at a time.
type watcher struct {
	options
	out output

	// What a resume needs: the tape, and the last sequence of each symbol.
	tapeID string
	last   map[string]uint64

	sent     string          // The token of the stream.
	refused  map[string]bool // Symbols whose refusal was printed.
	attempts int             // Streams that were opened since the last tick.
}

// run watches until the context ends, or no endpoint can go on.
func (w *watcher) run(ctx context.Context) error {
	foreign := 0
	for at := 0; ; {
		w.attempts++
		err := w.follow(ctx, w.endpoints[at])
		if ctx.Err() != nil {
			return nil
		}
		if !retryable(err) {
			return err
		}
		w.out.print("disconnected", "endpoint", w.endpoints[at], "reason", reason(err))

		if !errors.Is(err, errForeign) {
			foreign = 0
		} else if foreign++; foreign == len(w.endpoints) {
			return fmt.Errorf("no endpoint plays the tape %s any more", w.tapeID)
		}
		if !errors.Is(err, errRenewed) {
			at = (at + 1) % len(w.endpoints)
		}
		// Every endpoint is tried once without a wait.
		if extra := w.attempts - len(w.endpoints); extra >= 0 {
			select {
			case <-time.After(pause(extra)):
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// follow reads one stream. The error says why it ended.
func (w *watcher) follow(ctx context.Context, endpoint string) error {
	// A fresh channel has neither a backoff to wait for nor a dead connection to discover. Without the service config, which waits
	// for ready, the stream fails at once when the endpoint is down.
	conn, err := grpc.NewClient("dns:///"+endpoint, w.dial...)
	if err != nil {
		return err
	}
	defer conn.Close()
	w.sent, _ = w.token.read()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer silent.Stop()

	stream, err := tickerv1.NewTickerStreamServiceClient(conn).Watch(ctx, &tickerv1.WatchRequest{
		Symbols:       w.symbols,
		Delivery:      tickerv1.Delivery_DELIVERY_EVERY_TICK,
		Detail:        tickerv1.Detail_DETAIL_QUOTE,
		AfterSequence: w.last,
		TapeId:        w.tapeID,
	})
	for err == nil {
		var response *tickerv1.WatchResponse
		silent.Reset(silence)
		response, err = stream.Recv()
		silent.Stop() // The time that a message takes to be handled is not silence.
		if err == nil {
			err = w.handle(endpoint, response)
		}
	}
	if status.Code(err) == codes.Unauthenticated && w.renewed() {
		return errRenewed
	}
	// Recv reports its cancellation; the cause of that says more.
	return cmp.Or(context.Cause(ctx), err)
}

// renewed tells whether the token file holds another token than the stream has.
func (w *watcher) renewed() bool {
	token, err := w.token.read()
	return err == nil && token != w.sent
}

func (w *watcher) handle(endpoint string, response *tickerv1.WatchResponse) error {
	switch event := response.Event.(type) {
	case *tickerv1.WatchResponse_SubscriptionResult:
		return w.accept(endpoint, event.SubscriptionResult)
	case *tickerv1.WatchResponse_Tick:
		tick := event.Tick
		last, known := w.last[tick.Symbol]
		if known && tick.Sequence <= last {
			return nil
		}
		if known && tick.Sequence > last+1 {
			return fmt.Errorf("%s went from %d to %d without a gap", tick.Symbol, last, tick.Sequence)
		}
		w.last[tick.Symbol] = tick.Sequence
		w.attempts = 0
		bid, ask := float64(tick.Quote.GetBidNanos())/1e9, float64(tick.Quote.GetAskNanos())/1e9
		w.out.print("tick", "symbol", tick.Symbol, "sequence", tick.Sequence, "ltp", tick.Ltp,
			"time", tick.Time.AsTime(), "bid", bid, "ask", ask, "snapshot", tick.Snapshot)
	case *tickerv1.WatchResponse_Gap:
		gap := event.Gap
		w.last[gap.Symbol] = max(w.last[gap.Symbol], gap.LastSequence)
		w.out.print("gap", "symbol", gap.Symbol, "first_sequence", gap.FirstSequence, "last_sequence", gap.LastSequence)
	case *tickerv1.WatchResponse_CaughtUp:
		w.out.print("caught_up", "symbol", event.CaughtUp.Symbol, "sequence", event.CaughtUp.Sequence)
	case *tickerv1.WatchResponse_Draining:
		return errDraining
	case *tickerv1.WatchResponse_TokenExpiring:
		// With the same token, the next stream would be warned at once.
		if w.renewed() {
			return errRenewed
		}
	}
	return nil
}

// accept takes the first message of a stream. If it refuses all symbols, the server ends the stream.
func (w *watcher) accept(endpoint string, result *tickerv1.SubscriptionResult) error {
	subscribed := false
	for _, status := range result.Statuses {
		switch {
		case status.Code == tickerv1.SymbolStatusCode_SYMBOL_STATUS_CODE_FOREIGN_TAPE:
			return errForeign
		case status.Code == tickerv1.SymbolStatusCode_SYMBOL_STATUS_CODE_SUBSCRIBED:
			subscribed = true
		case !w.refused[status.Symbol]:
			w.refused[status.Symbol] = true
			w.out.print("refused", "symbol", status.Symbol, "message", status.Message)
		}
	}
	if subscribed {
		w.tapeID = result.TapeId
		w.out.print("connected", "endpoint", endpoint, "tape_id", w.tapeID)
	}
	return nil
}

// retryable tells whether another attempt may help. Errors of our own, and the end of a stream, count as UNKNOWN.
func retryable(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled, codes.Unknown, codes.DeadlineExceeded,
		codes.Aborted, codes.Internal, codes.ResourceExhausted:
		return true
	}
	return false
}

// pause is an exponential backoff, up to a second, with full jitter: the clients of a failed replica do not come back together.
func pause(attempt int) time.Duration {
	return rand.N(min(50*time.Millisecond<<min(attempt, 5), time.Second))
}
