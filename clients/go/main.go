// Command ticker-client prints the last candles of some symbols and then watches them live. When a replica fails, it goes on
// at the next one: no tick is lost, and none is printed twice.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("error: ")

	c := client{last: map[string]uint64{}, named: map[string]bool{}}
	endpoints := flag.String("endpoints", "127.0.0.1:50051", "`replicas` of one service, separated by commas")
	symbols := flag.String("symbols", "RELIANCE,TCS", "`symbols` to watch, separated by commas")
	seconds := flag.Float64("seconds", 10, "how long to watch")
	flag.BoolVar(&c.json, "json", false, "print one JSON object per event")
	flag.StringVar(&c.ca, "tls-ca", "", "PEM `file` of the CA of the replicas: turns TLS on")
	flag.StringVar(&c.token, "token-file", "", "`file` with a token, which is read again for every call")
	// An error of the command line is one line, without the list of options.
	flag.CommandLine.Init("ticker-client", flag.ContinueOnError)
	flag.CommandLine.SetOutput(io.Discard)
	usage := flag.CommandLine.Parse(os.Args[1:])
	if errors.Is(usage, flag.ErrHelp) {
		flag.CommandLine.SetOutput(os.Stdout)
		flag.PrintDefaults()
		return
	}

	c.endpoints = strings.Split(*endpoints, ",")
	c.symbols = strings.Split(*symbols, ",")
	duration := time.Duration(*seconds * float64(time.Second))
	conn, err := c.connect(c.endpoints...)
	switch {
	case usage != nil:
		err = usage
	case flag.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case slices.Contains(slices.Concat(c.endpoints, c.symbols), ""):
		err = errors.New("--endpoints and --symbols must not have an empty part")
	case duration <= 0:
		err = fmt.Errorf("--seconds %v is not a positive time", *seconds)
	case c.token != "" && c.ca == "":
		err = errors.New("--token-file needs --tls-ca: a token is not sent in plain text")
	}
	if err != nil {
		log.Print(err)
		os.Exit(2)
	}

	if err := c.history(conn); err != nil {
		log.Fatal(err)
	}
	// Not a deadline: the server would know of it, and end the stream with DEADLINE_EXCEEDED.
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(duration, cancel)
	if err := c.watch(ctx); err != nil {
		log.Fatal(err)
	}
}

// print prints an event as JSON, or in columns below a header. Its fields are keys and values in turn.
func (c *client) print(event string, fields ...any) {
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
	if c.json {
		fmt.Printf("{%s}\n", strings.Join(members, ","))
		return
	}
	if !c.named[event] {
		c.named[event] = true
		fmt.Println(strings.TrimRight(header, " "))
	}
	fmt.Println(strings.TrimRight(row, " "))
}
