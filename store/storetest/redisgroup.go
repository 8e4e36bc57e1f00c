package storetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// StartRedisCluster starts three masters without replicas.
func StartRedisCluster(tb testing.TB) []*Redis {
	tb.Helper()
	var nodes []*Redis
	args := []string{"--cluster", "create"}
	for range 3 {
		node := StartRedis(tb, RedisOptions{Args: []string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000"}})
		nodes = append(nodes, node)
		args = append(args, node.Addr())
	}
	cli(tb, append(args, "--cluster-yes")...)
	for _, node := range nodes {
		await(tb, "a node of the cluster to know the others", func() bool {
			return strings.Contains(node.CLI("cluster", "info"), "cluster_state:ok")
		})
	}
	return nodes
}

// StartSentinel starts a Sentinel that watches the master by that name, decides alone,
// and takes half a second without an answer for its end. It returns once it knows the
// replicas.
func StartSentinel(tb testing.TB, name string, master *Redis, replicas ...*Redis) *Redis {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]d 1\nsentinel down-after-milliseconds %[1]s 500\n"+
		"sentinel failover-timeout %[1]s 4000\n", name, master.Port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	sentinel := StartRedis(tb, RedisOptions{Args: []string{"--sentinel"}, ready: "+monitor", file: file})
	await(tb, "the sentinel to know the replicas", func() bool {
		return strings.Contains(sentinel.CLI("info", "sentinel"), fmt.Sprintf("slaves=%d", len(replicas)))
	})
	return sentinel
}

// CLI is what redis-cli answers to a command at that server.
func (r *Redis) CLI(command ...string) string {
	r.tb.Helper()
	return cli(r.tb, append([]string{"-h", "127.0.0.1", "-p", fmt.Sprint(r.Port)}, command...)...)
}

func cli(tb testing.TB, args ...string) string {
	tb.Helper()
	out, err := exec.CommandContext(context.WithoutCancel(tb.Context()), "redis-cli", args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("redis-cli: %v\n%s", err, out)
	}
	return string(out)
}

// await waits for a condition of another process, which nobody announces.
func await(tb testing.TB, what string, met func() bool) {
	tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(startTimeout); !met(); {
		select {
		case <-tick.C:
		case <-late:
			tb.Fatal("waiting in vain for " + what)
		}
	}
}

// writeCertificate writes a certificate for 127.0.0.1 that signs itself, its key, and
// the certificate once more as the authority.
func writeCertificate(tb testing.TB, dir, ca string) (certificate, key string) {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		tb.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: signed}, ca: {Type: "CERTIFICATE", Bytes: signed},
		key: {Type: "PRIVATE KEY", Bytes: encoded},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(&block), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return certificate, key
}
