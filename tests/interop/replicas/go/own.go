package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// What `ticker watch` warns of when it has another connection.
var without = regexp.MustCompile(`after (\d+) ms without a connection`)

// watch runs one `ticker watch`, the client of this project, until the context ends, and counts what it prints.
func watch(ctx context.Context, program, endpoint string, symbols []string, report *report) error {
	arguments := append([]string{"watch"}, symbols...)
	arguments = append(arguments, "--delivery", "every-tick", "--output", "json", "--endpoint", endpoint)
	command := exec.CommandContext(ctx, program, arguments...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGINT) }
	ticks, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	warnings, err := command.StderrPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	var reading sync.WaitGroup
	reading.Add(2)
	go func() {
		defer reading.Done()
		one := &stream{report: report, last: map[string]uint64{}}
		for lines := bufio.NewScanner(ticks); lines.Scan(); {
			var tick struct {
				Symbol   string          `json:"symbol"`
				Sequence json.RawMessage `json:"sequence"`
			}
			if json.Unmarshal(lines.Bytes(), &tick) != nil || tick.Sequence == nil {
				continue
			}
			sequence, err := strconv.ParseUint(strings.Trim(string(tick.Sequence), `"`), 10, 64)
			if err == nil {
				one.count(tick.Symbol, sequence)
			}
		}
	}()
	go func() {
		defer reading.Done()
		for lines := bufio.NewScanner(warnings); lines.Scan(); {
			for _, found := range without.FindAllStringSubmatch(lines.Text(), -1) {
				silence, _ := strconv.ParseFloat(found[1], 64)
				if silence > 1000 {
					// It is seen between its ticks too, and longer there.
					continue
				}
				report.Lock()
				report.Silences = append(report.Silences, silence)
				report.Unlock()
			}
		}
	}()
	reading.Wait()
	command.Wait()
	return ctx.Err()
}
