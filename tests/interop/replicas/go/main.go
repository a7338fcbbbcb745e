// Command replicas holds streams of every tick through grpc-go, resumes them wherever the balancer leads, and counts what was
// lost. With -own it does so through `ticker watch`. It ends after -seconds, or when its standard input is closed, and prints one
// JSON document.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver/dns"
	"google.golang.org/grpc/status"

	gogen "replicas/gen/gogen"
	v1 "replicas/gen/ticker/v1"
)

// report is what all clients of this test print.
type report struct {
	sync.Mutex
	Streams     int            `json:"streams"`
	Ticks       int            `json:"ticks"`
	Missing     uint64         `json:"missing"`
	Twice       int            `json:"twice"`
	OutOfOrder  int            `json:"out_of_order"`
	Silences    []float64      `json:"silences"`
	Codes       map[string]int `json:"codes"`
	Calls       int            `json:"calls"`
	FailedCalls map[string]int `json:"failed_calls"`
}

type stream struct {
	client v1.TickerStreamServiceClient
	report *report
	// The last sequence of each symbol.
	last map[string]uint64
	// When the last tick came, and whether its stream has ended since.
	heard time.Time
	ended bool
}

func main() {
	target := flag.String("target", "", "what to dial")
	config := flag.String("service-config", "", "file of the service config")
	symbols := flag.String("symbols", "RELIANCE,TEST.SQUARE", "symbols of each stream")
	streams := flag.Int("streams", 1, "number of streams")
	channels := flag.Int("channels", 1, "number of channels")
	contract := flag.String("contract", "v1", "v1 or gogen")
	own := flag.String("own", "", "program to watch with, in place of grpc-go; the target is then an endpoint")
	seconds := flag.Float64("seconds", 0, "time to run; 0 for until the input is closed")
	calls := flag.Bool("calls", true, "whether each channel asks for last prices beside the streams")
	secured := securityFlags()
	flag.Parse()

	// The default of 30 s would hide a replica that was added for longer than this test runs.
	dns.SetMinResolutionInterval(time.Second)
	ctx, cancel := context.WithCancel(context.Background())
	if *seconds > 0 {
		time.AfterFunc(time.Duration(*seconds*float64(time.Second)), cancel)
	} else {
		go func() {
			io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}

	all := &report{Codes: map[string]int{}, FailedCalls: map[string]int{}, Silences: []float64{}}
	var running sync.WaitGroup
	if *own != "" {
		all.Streams = *streams
		for range *streams {
			running.Add(1)
			go func() {
				defer running.Done()
				if err := watch(ctx, *own, *target, strings.Split(*symbols, ","), all); ctx.Err() == nil {
					panic(fmt.Sprint("ticker watch ended: ", err))
				}
			}()
		}
		running.Wait()
		json.NewEncoder(os.Stdout).Encode(all)
		return
	}
	text, err := os.ReadFile(*config)
	if err != nil {
		panic(err)
	}
	options, err := secured.dialOptions()
	if err != nil {
		panic(err)
	}
	options = append(options, grpc.WithDefaultServiceConfig(string(text)))
	for number := range *channels {
		channel, err := grpc.NewClient(*target, options...)
		if err != nil {
			panic(err)
		}
		channel.Connect()
		if *contract == "v1" && *calls {
			running.Add(1)
			go func() { defer running.Done(); call(ctx, v1.NewTickerStreamServiceClient(channel), all) }()
		}
		for range (*streams + number) / *channels {
			all.Streams++
			running.Add(1)
			go func() {
				defer running.Done()
				// Streams that begin before all connections are ready would all go to the first.
				time.Sleep(time.Second)
				if *contract == "gogen" {
					legacy(ctx, gogen.NewTickerStreamServiceClient(channel), strings.Split(*symbols, ","), all)
					return
				}
				one := &stream{client: v1.NewTickerStreamServiceClient(channel), report: all, last: map[string]uint64{}}
				one.run(ctx, strings.Split(*symbols, ","))
			}()
		}
	}
	running.Wait()
	json.NewEncoder(os.Stdout).Encode(all)
}

// run keeps a stream open until the context ends.
func (s *stream) run(ctx context.Context, symbols []string) {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		err := s.read(ctx, symbols, &attempt)
		s.report.Lock()
		if ctx.Err() == nil {
			s.report.Codes[status.Code(err).String()]++
		}
		s.report.Unlock()
		// Jitter, from nothing up to a backoff that grows to a second.
		backoff := min(50*time.Millisecond<<min(attempt, 5), time.Second)
		time.Sleep(time.Duration(rand.Int64N(int64(backoff))))
	}
}

func (s *stream) read(ctx context.Context, symbols []string, attempt *int) error {
	open, err := s.client.TickerStream(ctx)
	if err != nil {
		return err
	}
	err = open.Send(&v1.TickerStreamRequest{Verb: &v1.TickerStreamRequest_Subscribe{Subscribe: &v1.Subscription{
		Symbols:       symbols,
		Delivery:      v1.Delivery_DELIVERY_EVERY_TICK,
		AfterSequence: s.last,
	}}})
	if err != nil && err != io.EOF {
		return err
	}
	for {
		response, err := open.Recv()
		if err != nil {
			s.ended = true
			return err
		}
		if tick := response.GetTick(); tick != nil {
			*attempt = 0
			s.count(tick.Symbol, tick.Sequence)
		}
		if gap := response.GetGap(); gap != nil {
			s.report.Lock()
			s.report.Missing += gap.LastSequence - gap.FirstSequence + 1
			s.report.Unlock()
			s.last[gap.Symbol] = gap.LastSequence
		}
	}
}

func (s *stream) count(symbol string, sequence uint64) {
	s.report.Lock()
	defer s.report.Unlock()
	s.report.Ticks++
	now := time.Now()
	if silence := now.Sub(s.heard); !s.heard.IsZero() && (s.ended || silence > time.Second) {
		s.report.Silences = append(s.report.Silences, float64(silence.Microseconds())/1000)
	}
	s.heard, s.ended = now, false
	last, known := s.last[symbol]
	switch {
	case !known || sequence == last+1:
	case sequence == last:
		s.report.Twice++
	case sequence < last:
		s.report.OutOfOrder++
		return
	default:
		s.report.Missing += sequence - last - 1
	}
	s.last[symbol] = sequence
}

// legacy keeps a stream of the package gogen open.
func legacy(ctx context.Context, client gogen.TickerStreamServiceClient, symbols []string, report *report) {
	for ctx.Err() == nil {
		open, err := client.TickerStream(ctx)
		for _, symbol := range symbols {
			if err == nil {
				err = open.Send(&gogen.TickerRequest{Symbol: symbol})
			}
		}
		for err == nil {
			if _, err = open.Recv(); err == nil {
				report.Lock()
				report.Ticks++
				report.Unlock()
			}
		}
		if ctx.Err() == nil {
			report.Lock()
			report.Codes[status.Code(err).String()]++
			report.Unlock()
		}
		time.Sleep(time.Duration(rand.Int64N(int64(100 * time.Millisecond))))
	}
}

// call asks for last prices again and again.
func call(ctx context.Context, client v1.TickerStreamServiceClient, report *report) {
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := client.GetLastPrices(limited, &v1.GetLastPricesRequest{Symbols: []string{"RELIANCE"}})
		cancel()
		report.Lock()
		report.Calls++
		if err != nil && ctx.Err() == nil {
			report.FailedCalls[status.Convert(err).String()]++
		}
		report.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
}
