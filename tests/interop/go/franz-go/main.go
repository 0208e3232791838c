// franz-go behind the verbs of the matrix; or one file through a topic (see ../../file).
// usage: franz-go ADDRESS | ADDRESS produce TOPIC | ADDRESS consume TOPIC COUNT
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"moldau.test/clients/verbs"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func client(address string, opts ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(address), kgo.MetadataMinAge(100*time.Millisecond))...)
	must(err)
	return c
}

func code(err error) any {
	var e *kerr.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return nil
}

func main() {
	address := os.Args[1]
	ctx, cancel := context.WithTimeout(context.Background(), 600*time.Second)
	defer cancel()
	if len(os.Args) > 3 && os.Args[2] == "produce" {
		produceFile(ctx, address, os.Args[3])
		return
	}
	if len(os.Args) > 4 && os.Args[2] == "consume" {
		consumeFile(ctx, address, os.Args[3], os.Args[4])
		return
	}
	p := newPeer(address)
	verbs.Serve(p.verbs(), code)
}
