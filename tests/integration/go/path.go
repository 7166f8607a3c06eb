// SPDX-License-Identifier: Apache-2.0

// Path validation of one end entity by Go's crypto/x509, for any use and for TLS clients.
//
// Usage: path ROOT.der ISSUING.der LEAF.der UNIX-SECONDS. Prints two lines: "any: …" and "client: …",
// each "ok" or the error.
package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"strconv"
	"time"
)

func read(path string) *x509.Certificate {
	data, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	certificate, err := x509.ParseCertificate(data)
	if err != nil {
		panic(err)
	}
	return certificate
}

func main() {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(read(os.Args[1]))
	between.AddCert(read(os.Args[2]))
	leaf := read(os.Args[3])
	at, err := strconv.ParseInt(os.Args[4], 10, 64)
	if err != nil {
		panic(err)
	}
	uses := []struct {
		name string
		use  x509.ExtKeyUsage
	}{{"any", x509.ExtKeyUsageAny}, {"client", x509.ExtKeyUsageClientAuth}}
	for _, one := range uses {
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots:         roots,
			Intermediates: between,
			CurrentTime:   time.Unix(at, 0),
			KeyUsages:     []x509.ExtKeyUsage{one.use},
		})
		if err == nil {
			fmt.Printf("%s: ok\n", one.name)
		} else {
			fmt.Printf("%s: %v\n", one.name, err)
		}
	}
}
