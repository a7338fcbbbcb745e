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

// A stream without any message for this long is broken: the server sends a heartbeat every 5 s.
const silence = 15 * time.Second

// After these, another attempt may help. Errors of our own, and the end of a stream, count as Unknown.
var retryable = []codes.Code{
	codes.Unavailable, codes.Canceled, codes.Unknown, codes.DeadlineExceeded,
	codes.Aborted, codes.Internal, codes.ResourceExhausted,
}

var errForeign = errors.New("the replica plays another tape")

// watcher reads every tick of some symbols, from one replica after the other: none is lost, and none comes twice.
// This file needs nothing but the generated code.
type watcher struct {
	endpoints, symbols []string

	connect      func(endpoint string) (*grpc.ClientConn, error)
	received     func(endpoint string, response *tickerv1.WatchResponse)
	disconnected func(endpoint string, reason error)

	// What a resume needs: the tape, and the last sequence of each symbol.
	tapeID string
	last   map[string]uint64

	ticked bool // Whether the stream has sent a tick.
}

// run goes from endpoint to endpoint, until the context ends or no endpoint can go on.
func (w *watcher) run(ctx context.Context) error {
	const shortest, longest = 50 * time.Millisecond, time.Second
	w.last = map[string]uint64{}
	for backoff := shortest; ; backoff = min(2*backoff, longest) {
		foreign := 0
		for _, endpoint := range w.endpoints {
			w.ticked = false
			err := w.follow(ctx, endpoint)
			// The token file has a fresh token by now, which the next stream sends.
			expired := w.ticked && status.Code(err) == codes.Unauthenticated
			switch {
			case ctx.Err() != nil:
				return nil
			case !expired && !slices.Contains(retryable, status.Code(err)):
				return err
			case errors.Is(err, errForeign):
				foreign++
			case w.ticked:
				backoff = shortest
			}
			w.disconnected(endpoint, err)
		}
		if foreign == len(w.endpoints) {
			return fmt.Errorf("no endpoint plays the tape %s any more", w.tapeID)
		}
		// Random, so that the clients of a failed replica do not all come back together.
		time.Sleep(rand.N(backoff))
	}
}

// follow reads one stream. The error says why it ended.
func (w *watcher) follow(ctx context.Context, endpoint string) error {
	// A fresh channel has neither a backoff to wait for nor a dead connection to discover.
	conn, err := w.connect(endpoint)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(silence, func() { cancel(fmt.Errorf("no message for %v", silence)) })
	defer silent.Stop()

	stream, err := tickerv1.NewTickerStreamServiceClient(conn).Watch(ctx, &tickerv1.WatchRequest{
		Symbols:       w.symbols,
		Delivery:      tickerv1.Delivery_DELIVERY_EVERY_TICK,
		Detail:        tickerv1.Detail_DETAIL_QUOTE,
		AfterSequence: w.last,
		TapeId:        w.tapeID,
	}, grpc.WaitForReady(false)) // When the endpoint is down, the next one is tried at once.
	for err == nil {
		var response *tickerv1.WatchResponse
		silent.Reset(silence)
		if response, err = stream.Recv(); err == nil {
			if err = w.note(response); err == nil {
				w.received(endpoint, response)
			}
		}
	}
	// Recv reports its cancellation; the cause of that says more.
	return cmp.Or(context.Cause(ctx), err)
}

// note keeps what a resume needs. An error says why the stream is of no more use.
func (w *watcher) note(response *tickerv1.WatchResponse) error {
	switch event := response.Event.(type) {
	case *tickerv1.WatchResponse_SubscriptionResult:
		if w.tapeID != "" && w.tapeID != event.SubscriptionResult.TapeId {
			return errForeign
		}
		w.tapeID = event.SubscriptionResult.TapeId
	case *tickerv1.WatchResponse_Tick:
		tick := event.Tick
		if last, known := w.last[tick.Symbol]; known && tick.Sequence != last+1 {
			return fmt.Errorf("%s went from %d to %d without a gap", tick.Symbol, last, tick.Sequence)
		}
		w.last[tick.Symbol], w.ticked = tick.Sequence, true
	case *tickerv1.WatchResponse_Gap:
		w.last[event.Gap.Symbol] = event.Gap.LastSequence
	case *tickerv1.WatchResponse_Draining:
		return errors.New("the replica is draining")
	}
	return nil
}
