// Command ticker-client prints the last candles of some symbols and then watches them live. When a replica fails, it goes on
// at the next one: no tick is lost, and none is printed twice.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/ticker-client/tickerv1"
)

// A call about a symbol that is refused ends with one of these. Watch says why it is.
var refusals = []codes.Code{codes.NotFound, codes.PermissionDenied, codes.InvalidArgument}

func main() {
	log.SetFlags(0)
	log.SetPrefix("error: ")

	var dial dialer
	out := printer{named: map[string]bool{}}
	endpoints := flag.String("endpoints", "127.0.0.1:50051", "`replicas` of one service, separated by commas")
	symbols := flag.String("symbols", "RELIANCE,TCS", "`symbols` to watch, separated by commas")
	seconds := flag.Float64("seconds", 10, "how long to watch")
	flag.BoolVar(&out.json, "json", false, "print one JSON object per event")
	flag.StringVar(&dial.ca, "tls-ca", "", "PEM `file` of the CA of the replicas: turns TLS on")
	flag.StringVar(&dial.token, "token-file", "", "`file` with a token, which is read again for every call")
	// An error of the command line is one line, without the list of options.
	flag.CommandLine.Init("ticker-client", flag.ContinueOnError)
	flag.CommandLine.SetOutput(io.Discard)
	usage := flag.CommandLine.Parse(os.Args[1:])
	if errors.Is(usage, flag.ErrHelp) {
		flag.CommandLine.SetOutput(os.Stdout)
		flag.PrintDefaults()
		return
	}

	w := watcher{
		endpoints: strings.Split(*endpoints, ","),
		symbols:   strings.Split(*symbols, ","),
		connect:   func(endpoint string) (*grpc.ClientConn, error) { return dial.connect(endpoint) },
		received:  out.response,
		disconnected: func(endpoint string, reason error) {
			out.print("disconnected", "endpoint", endpoint, "reason", reason.Error())
		},
	}
	duration := time.Duration(*seconds * float64(time.Second))
	conn, err := dial.connect(w.endpoints...)
	switch {
	case usage != nil:
		err = usage
	case flag.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case slices.Contains(slices.Concat(w.endpoints, w.symbols), ""):
		err = errors.New("--endpoints and --symbols must not have an empty part")
	case duration <= 0:
		err = fmt.Errorf("--seconds %v is not a positive time", *seconds)
	case dial.token != "" && dial.ca == "":
		err = errors.New("--token-file needs --tls-ca: a token is not sent in plain text")
	}
	if err != nil {
		log.Print(err)
		os.Exit(2)
	}

	if err := history(conn, w.symbols, &out); err != nil {
		log.Fatal(err)
	}
	// Not a deadline: the server would know of it, and end the stream with DEADLINE_EXCEEDED.
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(duration, cancel)
	if err := w.run(ctx); err != nil {
		log.Fatal(err)
	}
}

// history prints the identity of the tape and the last five minutes of each symbol.
func history(conn *grpc.ClientConn, symbols []string, out *printer) error {
	// A deadline for all calls together.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	service := tickerv1.NewTickerStreamServiceClient(conn)
	tape, err := service.GetTape(ctx, &tickerv1.GetTapeRequest{})
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
			page, err := service.ListCandles(ctx, request)
			if slices.Contains(refusals, status.Code(err)) {
				break
			}
			if err != nil {
				return err
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
