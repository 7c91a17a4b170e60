// An HTTPS server and client: remora-go serve PORT LOG, remora-go ask PORT h1|h2
// They do what server.js and client.js do.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func file(name string) []byte {
	bytes, err := os.ReadFile(name)
	must(err)
	return bytes
}

func hash(body []byte) string { return fmt.Sprintf("%x", sha256.Sum256(body)) }

func serve(port string, log string) {
	out, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	must(err)
	files := map[string][]byte{"/page": file("page"), "/big": file("big")}
	var lock sync.Mutex
	handler := func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		must(err)
		received, body := "", files[r.URL.Path]
		if r.Method == "POST" {
			received = hash(got)
			body = []byte(received)
		}
		_, from, _ := net.SplitHostPort(r.RemoteAddr)
		line, err := json.Marshal(map[string]string{"port": from, "url": r.URL.String(), "received": received, "sent": hash(body)})
		must(err)
		lock.Lock()
		out.Write(append(line, '\n'))
		lock.Unlock()
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.Write(body)
	}
	server := &http.Server{Addr: "127.0.0.1:" + port, Handler: http.HandlerFunc(handler)}
	must(server.ListenAndServeTLS("cert.pem", "key.pem"))
}

func connection(n int, port string, version string, page []byte, big []byte) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	if version == "h1" {
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	} else {
		transport.ForceAttemptHTTP2 = true
	}
	client := &http.Client{Transport: transport}
	ask := func(method string, path string, body []byte) {
		var reader io.Reader
		if body != nil {
			reader = bytes.NewReader(body)
		}
		request, err := http.NewRequest(method, "https://127.0.0.1:"+port+path, reader)
		must(err)
		if body != nil {
			request.Header.Set("Content-Type", "text/plain")
		}
		answer, err := client.Do(request)
		must(err)
		if version == "h2" && !strings.HasPrefix(answer.Proto, "HTTP/2") {
			panic(answer.Proto)
		}
		_, err = io.Copy(io.Discard, answer.Body)
		must(err)
		answer.Body.Close()
	}
	ask("GET", fmt.Sprintf("/page?%d.0", n), nil)
	ask("POST", fmt.Sprintf("/post?%d.1", n), page)
	ask("GET", fmt.Sprintf("/big?%d.2", n), nil)
	ask("POST", fmt.Sprintf("/post?%d.3", n), big)
	ask("GET", fmt.Sprintf("/page?%d.4", n), nil)
	transport.CloseIdleConnections()
}

func main() {
	if os.Args[1] == "serve" {
		serve(os.Args[2], os.Args[3])
	}
	page, big := file("page"), file("big")
	// It begins when a line comes in, so that there is time to look at it.
	bufio.NewReader(os.Stdin).ReadString('\n')
	var all sync.WaitGroup
	for n := 0; n < 4; n++ {
		all.Add(1)
		go func(n int) {
			defer all.Done()
			connection(n, os.Args[2], os.Args[3], page, big)
		}(n)
	}
	all.Wait()
}
