// Package saramaclient writes, reads and administers topics with sarama.
package saramaclient

import (
	"fmt"
	"os"

	"github.com/IBM/sarama"
)

// newConfig has sarama's defaults, but for errors, which nothing here may miss, and the version and the isolation level
// asked for.
func newConfig() (*sarama.Config, error) {
	config := sarama.NewConfig()
	config.Consumer.Return.Errors = true
	if text := os.Getenv("SARAMA_VERSION"); text != "" {
		version, err := sarama.ParseKafkaVersion(text)
		if err != nil {
			return nil, fmt.Errorf("SARAMA_VERSION: %w", err)
		}
		config.Version = version
	}
	if os.Getenv("ISOLATION") == "read_committed" {
		config.Consumer.IsolationLevel = sarama.ReadCommitted
	}
	return config, nil
}

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}
