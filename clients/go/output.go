package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/status"
)

// output prints events as JSON, or in columns with a header before the first event of each name.
type output struct {
	json  bool
	named map[string]bool // Events whose header was printed.
}

// print prints an event. Its fields are keys and values in turn.
func (o output) print(event string, fields ...any) {
	var members []string
	var header, row string
	for field := range slices.Chunk(append([]any{"event", event}, fields...), 2) {
		key, value := field[0], field[1]
		encoded, _ := json.Marshal(value)
		members = append(members, fmt.Sprintf("%q:%s", key, encoded))

		width := 11
		if at, ok := value.(time.Time); ok {
			width, value = 25, at.Format("2006-01-02T15:04:05.000Z")
		}
		header += fmt.Sprintf("%-*v ", width, key)
		row += fmt.Sprintf("%-*v ", width, value)
	}
	if o.json {
		fmt.Printf("{%s}\n", strings.Join(members, ","))
		return
	}
	if !o.named[event] {
		o.named[event] = true
		fmt.Println(strings.TrimRight(header, " "))
	}
	fmt.Println(strings.TrimRight(row, " "))
}

// reason is an error as text: of a call, the name of its status as the contract has it, and the message.
func reason(err error) string {
	if failed, ok := status.FromError(err); ok {
		return fmt.Sprintf("%v: %s", code.Code(failed.Code()), failed.Message())
	}
	return err.Error()
}
