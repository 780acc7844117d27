package s3

import (
	"net"
	"net/http"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// The service answers from many machines and each request occupies a connection: what is open stays open for the next
// burst, instead of the two per host that net/http keeps by default.
const (
	maxIdleConns   = 512
	idleTimeout    = 90 * time.Second
	dialTimeout    = 3 * time.Second
	tlsTimeout     = 5 * time.Second
	headerTimeout  = 20 * time.Second // after the whole request was written
	writeBuffer    = 128 << 10        // per connection: a write call carries this much of a body
	readBuffer     = 64 << 10
	keepAlive      = 15 * time.Second
	continueWait   = time.Second
	maxHeaderBytes = 64 << 10
)

// sdkClient is what the SDK takes its configuration's certificates (AWS_CA_BUNDLE, ca_bundle) into.
func sdkClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout, d.KeepAlive = dialTimeout, keepAlive }).
		WithTransportOptions(func(t *http.Transport) {
			t.TLSHandshakeTimeout = tlsTimeout
			t.ResponseHeaderTimeout = headerTimeout
			t.ExpectContinueTimeout = continueWait
			t.MaxIdleConns = maxIdleConns
			t.MaxIdleConnsPerHost = maxIdleConns
			t.MaxConnsPerHost = 0
			t.IdleConnTimeout = idleTimeout
			t.WriteBufferSize = writeBuffer
			t.ReadBufferSize = readBuffer
			t.MaxResponseHeaderBytes = maxHeaderBytes
			t.DisableCompression = true // Range counts stored bytes
			t.ForceAttemptHTTP2 = false // one connection per stream, or one slow stream slows all
		})
}

// newClient owns its connections, which the SDK's client does not give away, and follows no redirects: a signature is
// for one host, so the SDK has to see them.
func newClient(t *http.Transport) *http.Client {
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
