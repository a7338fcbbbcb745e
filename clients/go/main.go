// Command ticker-client prints the last candles of some symbols and then watches them live. When a replica fails, it goes on at
// the next one: no tick is lost, and none is printed twice.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/ticker-client/tickerv1"
)

type options struct {
	endpoints, symbols []string
	duration           time.Duration
	json               bool
	token              tokenFile
	dial               []grpc.DialOption
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ticker-client:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, o)
	// An interrupt is a way to end, whatever it broke off.
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "ticker-client:", reason(err))
		os.Exit(1)
	}
	stop()
}

func parse(arguments []string) (o options, err error) {
	flags := flag.NewFlagSet("ticker-client", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // An error is one line, without all flags below it.
	endpoints := flags.String("endpoints", "127.0.0.1:50051", "`replicas` of one service, separated by commas")
	symbols := flags.String("symbols", "RELIANCE,TCS", "`symbols` to watch, separated by commas")
	seconds := flags.Float64("seconds", 10, "how long to watch")
	flags.BoolVar(&o.json, "json", false, "print one JSON object per event")
	ca := flags.String("tls-ca", "", "PEM `file` of the CA of the replicas: turns TLS on")
	token := flags.String("token-file", "", "`file` with a token, which is read again for every call")
	if err := flags.Parse(arguments); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(os.Stdout)
			flags.PrintDefaults()
		}
		return o, err
	}

	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	o.endpoints = strings.Split(*endpoints, ",")
	for _, endpoint := range o.endpoints {
		if _, _, err := net.SplitHostPort(endpoint); err != nil {
			return o, fmt.Errorf("--endpoints %q: %w", *endpoints, err)
		}
	}
	o.symbols = strings.Split(*symbols, ",")
	if slices.Contains(o.symbols, "") {
		return o, fmt.Errorf("--symbols %q has an empty symbol", *symbols)
	}
	o.duration = time.Duration(*seconds * float64(time.Second))
	if o.duration <= 0 {
		return o, fmt.Errorf("--seconds %v is not a positive time", *seconds)
	}
	o.token = tokenFile(*token)
	o.dial, err = dialOptions(*ca, o.token)
	return o, err
}

func run(ctx context.Context, o options) error {
	out := output{json: o.json, named: map[string]bool{}}
	conn, err := dialAll(o.endpoints, o.dial)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := printPast(ctx, tickerv1.NewTickerStreamServiceClient(conn), o.symbols, out); err != nil {
		return err
	}

	// Not a deadline: the server would end the stream with DEADLINE_EXCEEDED, sometimes before the context knows.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	time.AfterFunc(o.duration, cancel)
	w := watcher{options: o, out: out, last: map[string]uint64{}, refused: map[string]bool{}}
	return w.run(ctx)
}

// printPast prints the identity of the tape and the last five minutes of each symbol.
func printPast(ctx context.Context, client tickerv1.TickerStreamServiceClient, symbols []string, out output) error {
	tape, err := client.GetTape(ctx, &tickerv1.GetTapeRequest{})
	if err != nil {
		return err
	}
	now := tape.Time.AsTime()
	out.print("tape", "tape_id", tape.TapeId, "time", now)
	for _, symbol := range symbols {
		request := &tickerv1.ListCandlesRequest{
			Symbol:    symbol,
			Interval:  durationpb.New(time.Minute),
			StartTime: timestamppb.New(now.Add(-5 * time.Minute)),
			EndTime:   tape.Time,
		}
		for more := true; more; more = request.PageToken != "" {
			page, err := client.ListCandles(ctx, request)
			if retryable(err) {
				return err
			}
			if err != nil {
				break // The symbol is refused. Watch refuses it too, and says why.
			}
			for _, candle := range page.Candles {
				out.print("candle", "symbol", symbol, "open_time", candle.OpenTime.AsTime(), "open", candle.OpenPrice,
					"high", candle.HighPrice, "low", candle.LowPrice, "close", candle.ClosePrice, "volume", candle.Volume)
			}
			request.PageToken = page.NextPageToken
		}
	}
	return nil
}
