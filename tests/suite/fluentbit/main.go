// Sends the lines of standard input through Fluent Bit's own Firehose client: the output plugin that AWS ships with
// aws-for-fluent-bit, used as the library it is. Usage: fluentbit ENDPOINT STREAM < lines
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/aws/amazon-kinesis-firehose-for-fluent-bit/firehose"
	fluentbit "github.com/fluent/fluent-bit-go/output"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: fluentbit ENDPOINT STREAM < lines")
		os.Exit(2)
	}
	endpoint, stream := os.Args[1], os.Args[2]
	plugin, err := firehose.NewOutputPlugin("us-east-1", stream, "", "", endpoint, "", "", "", "log", "", 0, false)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lines := bufio.NewReader(os.Stdin)
	sent := 0
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			now := time.Now()
			// The plugin puts the line feed back.
			record := map[interface{}]interface{}{"log": bytes.TrimSuffix(line, []byte("\n"))}
			for plugin.AddRecord(record, &now) == fluentbit.FLB_RETRY {
				time.Sleep(100 * time.Millisecond)
			}
			sent++
		}
		if err != nil {
			break
		}
	}
	for plugin.Flush() == fluentbit.FLB_RETRY {
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Println(sent)
}
