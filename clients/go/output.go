package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/status"

	"example.com/ticker-client/tickerv1"
)

// output prints events as text, or as JSON when it has a handler.
type output struct{ json slog.Handler }

func newOutput(json bool) output {
	if !json {
		return output{}
	}
	rename := func(_ []string, field slog.Attr) slog.Attr {
		switch field.Key {
		case slog.LevelKey:
			return slog.Attr{}
		case slog.MessageKey:
			field.Key = "event"
		}
		return field
	}
	return output{slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: rename})}
}

func (o output) tape(tape *tickerv1.GetTapeResponse) {
	at := tape.Time.AsTime()
	text := fmt.Sprintf("tape %s at %s\n", tape.TapeId, at.Format("2006-01-02T15:04:05.000Z")) +
		fmt.Sprintf("%-11s %-17s %11s %10s %10s %10s %8s", "SYMBOL", "TIME", "OPEN", "HIGH", "LOW", "CLOSE", "VOLUME")
	o.print(os.Stdout, text, "tape", "tape_id", tape.TapeId, "time", at)
}

func (o output) candle(symbol string, c *tickerv1.Candle) {
	at := c.OpenTime.AsTime()
	text := fmt.Sprintf("%-11s %-17s %11v %10v %10v %10v %8d", symbol, at.Format("2006-01-02T15:04Z"),
		c.OpenPrice, c.HighPrice, c.LowPrice, c.ClosePrice, c.Volume)
	o.print(os.Stdout, text, "candle", "symbol", symbol, "open_time", at, "open", c.OpenPrice,
		"high", c.HighPrice, "low", c.LowPrice, "close", c.ClosePrice, "volume", c.Volume)
}

func (o output) connected(endpoint, tapeID string) {
	o.print(os.Stdout, "connected to "+endpoint, "connected", "endpoint", endpoint, "tape_id", tapeID)
}

func (o output) refused(symbol, message string) {
	o.print(os.Stderr, "refused "+symbol+": "+message, "refused", "symbol", symbol, "message", message)
}

func (o output) tick(t *tickerv1.Tick) {
	bid, ask := float64(t.Quote.GetBidNanos())/1e9, float64(t.Quote.GetAskNanos())/1e9
	text := fmt.Sprintf("%-11s %11d %10v %10v %10v", t.Symbol, t.Sequence, t.Ltp, bid, ask)
	o.print(os.Stdout, text, "tick", "symbol", t.Symbol, "sequence", t.Sequence, "ltp", t.Ltp,
		"time", t.Time.AsTime(), "bid", bid, "ask", ask, "snapshot", t.Snapshot)
}

func (o output) gap(g *tickerv1.Gap) {
	text := fmt.Sprintf("gap %s %d to %d", g.Symbol, g.FirstSequence, g.LastSequence)
	o.print(os.Stdout, text, "gap", "symbol", g.Symbol, "first_sequence", g.FirstSequence, "last_sequence", g.LastSequence)
}

func (o output) caughtUp(c *tickerv1.CaughtUp) {
	text := fmt.Sprintf("caught up %s %d", c.Symbol, c.Sequence)
	o.print(os.Stdout, text, "caught_up", "symbol", c.Symbol, "sequence", c.Sequence)
}

func (o output) disconnected(endpoint string, err error) {
	text := fmt.Sprintf("disconnected from %s: %s", endpoint, reason(err))
	o.print(os.Stderr, text, "disconnected", "endpoint", endpoint, "reason", reason(err))
}

// print writes the text to a stream, or the event with its fields, which are keys and values, to standard output.
func (o output) print(stream io.Writer, text, event string, fields ...any) {
	if o.json == nil {
		fmt.Fprintln(stream, text)
		return
	}
	record := slog.NewRecord(time.Time{}, slog.LevelInfo, event, 0)
	record.Add(fields...)
	o.json.Handle(context.Background(), record)
}

// reason is an error as text: of a call, the name of its status as the contract has it, and the message.
func reason(err error) string {
	if failed, ok := status.FromError(err); ok {
		return fmt.Sprintf("%v: %s", code.Code(failed.Code()), failed.Message())
	}
	return err.Error()
}
