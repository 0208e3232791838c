// Package verbs is the loop of a client's program: requests in, answers out, one JSON object a line (see ../../matrix).
package verbs

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
)

// Request holds the arguments of every verb; those that are absent are zero.
type Request struct {
	Op          string            `json:"op"`
	Name        string            `json:"name"`
	Topic       string            `json:"topic"`
	Topics      []string          `json:"topics"`
	Partition   int32             `json:"partition"`
	Partitions  int32             `json:"partitions"`
	Offset      any               `json:"offset"`
	Reset       string            `json:"reset"`
	Records     []Record          `json:"records"`
	Codec       string            `json:"codec"`
	Acks        string            `json:"acks"`
	Idempotent  bool              `json:"idempotent"`
	SizeMax     int32             `json:"size_max"`
	Group       string            `json:"group"`
	Instance    string            `json:"instance"`
	SessionMs   int64             `json:"session_ms"`
	HeartbeatMs int64             `json:"heartbeat_ms"`
	Ms          int64             `json:"ms"`
	Max         int               `json:"max"`
	Keep        any               `json:"keep"`
	Metadata    string            `json:"metadata"`
	Time        int64             `json:"time"`
	At          string            `json:"at"`
	Configs     map[string]string `json:"configs"`
	Config      string            `json:"config"`
	Value       string            `json:"value"`
	Total       int32             `json:"total"`
	Before      int64             `json:"before"`
}

// Record is one to produce; null and empty are told apart by the pointer.
type Record struct {
	Key       *[]byte  `json:"k"`
	Value     *[]byte  `json:"v"`
	Headers   [][2]any `json:"h"`
	Timestamp *int64   `json:"t"`
}

// Answer is what a verb gives.
type Answer map[string]any

// Lacks says that the library has no such function.
type Lacks string

func (l Lacks) Error() string { return string(l) }

// Bytes is nil for null, not nil for empty.
func Bytes(p *[]byte) []byte {
	if p == nil {
		return nil
	}
	if *p == nil {
		return []byte{}
	}
	return *p
}

// Header gives name and value; nil for null.
func Header(h [2]any) (string, []byte) {
	if h[1] == nil {
		return h[0].(string), nil
	}
	var value []byte
	text, _ := json.Marshal(h[1])
	_ = json.Unmarshal(text, &value)
	if value == nil {
		value = []byte{}
	}
	return h[0].(string), value
}

// KeepConfigs are the settings that stay when all are replaced.
func (r *Request) KeepConfigs() map[string]string {
	out := map[string]string{}
	if m, ok := r.Keep.(map[string]any); ok {
		for k, v := range m {
			out[k] = fmt.Sprint(v)
		}
	}
	return out
}

// OffsetNumber is -2 for earliest and -1 for latest.
func (r *Request) OffsetNumber() int64 {
	switch v := r.Offset.(type) {
	case string:
		return map[string]int64{"earliest": -2, "latest": -1}[v]
	case float64:
		return int64(v)
	}
	return 0
}

// Row is one record read.
func Row(partition int32, offset int64, key, value []byte, timestamp int64, headers [][2]any) Answer {
	return Answer{"p": partition, "o": offset, "k": key, "v": value, "t": timestamp, "h": headers}
}

func defaults(r *Request) {
	if r.Codec == "" {
		r.Codec = "none"
	}
	if r.Acks == "" {
		r.Acks = "all"
	}
	if r.SizeMax == 0 {
		r.SizeMax = 1000000
	}
	if r.SessionMs == 0 {
		r.SessionMs = 6000
	}
	if r.HeartbeatMs == 0 {
		r.HeartbeatMs = 250
	}
	if r.Reset == "" {
		r.Reset = "earliest"
	}
	if r.Max == 0 {
		r.Max = 100000
	}
}

// Func is a verb.
type Func func(*Request) (Answer, error)

func call(f Func, r *Request) (answer Answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f(r)
}

// Serve answers requests until there are no more; code gives Kafka's error code, "unknown", or nil.
func Serve(verbs map[string]Func, code func(error) any) {
	out := bufio.NewWriter(os.Stdout)
	os.Stdout = os.Stderr // what a library prints is no answer
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		r := &Request{}
		if err := json.Unmarshal(line, r); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		defaults(r)
		var answer Answer
		if f := verbs[r.Op]; f == nil {
			err = Lacks("not in the library")
		} else {
			answer, err = call(f, r)
		}
		var lacks Lacks
		if errors.As(err, &lacks) {
			answer = Answer{"lacks": string(lacks)}
		} else if err != nil {
			fmt.Fprintln(os.Stderr, r.Op, err)
			answer = Answer{"error": code(err), "text": err.Error()}
		} else if answer == nil {
			answer = Answer{}
		}
		text, _ := json.Marshal(answer)
		out.Write(append(text, '\n'))
		out.Flush()
	}
}
