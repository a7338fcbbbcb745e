package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

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
