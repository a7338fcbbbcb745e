package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/ticker-client/tickerv1"
)

// printer prints events as JSON, or in columns below a header.
type printer struct {
	json  bool
	named map[string]bool // Events whose header was printed.
}

// response prints an event of a stream.
func (p *printer) response(endpoint string, response *tickerv1.WatchResponse) {
	switch event := response.Event.(type) {
	case *tickerv1.WatchResponse_SubscriptionResult:
		p.print("connected", "endpoint", endpoint, "tape_id", event.SubscriptionResult.TapeId)
		for _, status := range event.SubscriptionResult.Statuses {
			if status.Code != tickerv1.SymbolStatusCode_SYMBOL_STATUS_CODE_SUBSCRIBED {
				p.print("refused", "symbol", status.Symbol, "message", status.Message)
			}
		}
	case *tickerv1.WatchResponse_Tick:
		tick := event.Tick
		bid, ask := float64(tick.Quote.GetBidNanos())/1e9, float64(tick.Quote.GetAskNanos())/1e9
		p.print("tick", "symbol", tick.Symbol, "sequence", tick.Sequence, "ltp", tick.Ltp,
			"time", tick.Time.AsTime(), "bid", bid, "ask", ask, "snapshot", tick.Snapshot)
	case *tickerv1.WatchResponse_Gap:
		gap := event.Gap
		p.print("gap", "symbol", gap.Symbol, "first_sequence", gap.FirstSequence, "last_sequence", gap.LastSequence)
	case *tickerv1.WatchResponse_CaughtUp:
		p.print("caught_up", "symbol", event.CaughtUp.Symbol, "sequence", event.CaughtUp.Sequence)
	}
}

// print prints an event, whose fields are keys and values in turn.
func (p *printer) print(event string, fields ...any) {
	var members []string
	var header, row string
	for field := range slices.Chunk(append([]any{"event", event}, fields...), 2) {
		key, value := field[0], field[1]
		width := 11
		if at, ok := value.(time.Time); ok {
			width, value = 30, at.Format("2006-01-02T15:04:05.000000000Z")
		}
		encoded, _ := json.Marshal(value)
		members = append(members, fmt.Sprintf("%q:%s", key, encoded))
		header += fmt.Sprintf("%-*v ", width, key)
		row += fmt.Sprintf("%-*v ", width, value)
	}
	if p.json {
		fmt.Printf("{%s}\n", strings.Join(members, ","))
		return
	}
	if !p.named[event] {
		p.named[event] = true
		fmt.Println(strings.TrimRight(header, " "))
	}
	fmt.Println(strings.TrimRight(row, " "))
}
