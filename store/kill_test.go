package store_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// children are what processes of this test binary do.
var children = map[string]func(path string) error{"append": appendForEver, "full": fillTheDisk}

// replaced is how long the values are that replace each other.
const replaced = 20_000

// appendForEver appends and puts, and prints each thing that was acknowledged, while
// the file is written anew over and over.
func appendForEver(path string) error {
	m := store.NewPersistent(store.MemoryConfig{Path: path})
	m.RewriteOften()
	if err := m.Open(context.Background()); err != nil {
		return err
	}
	until := time.Now().Add(time.Hour)
	if _, err := m.Mark(context.Background(), purpose, "mark", until); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), worker, i)
				err, kind := m.Append(context.Background(), purpose, id, []byte(strings.Repeat(id, i%100)), until), "r"
				if i%3 == 0 {
					err, kind = m.Put(context.Background(), purpose, id, []byte(id), until), "v"
				}
				// One that is replaced all the time makes the file worth writing anew.
				err = errors.Join(err, m.Put(context.Background(), purpose, fmt.Sprint(worker), make([]byte, replaced), until))
				if err != nil {
					return
				}
				fmt.Fprintln(os.Stdout, kind, id) // one write: lines of several workers do not mix
			}
		})
	}
	wg.Wait()
	return nil
}

// child makes this test binary do something else.
func child(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), self)
	command.Env = append(os.Environ(), childRole+"="+role, childPath+"="+path)
	command.Stderr = os.Stderr
	return command
}

// A process that is killed at any moment loses nothing that it has acknowledged.
func TestPersistentSurvivesKills(t *testing.T) {
	t.Parallel()
	const rounds = 20
	directory := t.TempDir()
	acknowledged := make(map[string]bool)
	for range rounds {
		killWhileAppending(t, directory, acknowledged)
		expectAcknowledged(t, directory, acknowledged)
		if t.Failed() {
			return
		}
	}
	if len(acknowledged) < 5*rounds {
		t.Errorf("%d acknowledged in %d rounds: that proves little", len(acknowledged), rounds)
	}
	info, err := os.Stat(filepath.Join(directory, "records"))
	if err != nil || info.Size() > int64(len(acknowledged)*replaced/2) {
		t.Errorf("the file was hardly ever written anew: %d octets, %v", info.Size(), err)
	}
	t.Logf("%d acknowledged in %d rounds", len(acknowledged), rounds)
}

// killWhileAppending kills a process after it has acknowledged some number of things,
// and gathers all that it has.
func killWhileAppending(t *testing.T, directory string, acknowledged map[string]bool) {
	t.Helper()
	command := child(t, "append", directory)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	kill := 1 + rand.IntN(300)
	lines := bufio.NewScanner(out)
	for seen := 1; lines.Scan(); seen++ {
		acknowledged[lines.Text()] = true
		if seen == kill {
			if err := command.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := command.Wait(); err == nil {
		t.Error("the process ended by itself")
	}
}

func expectAcknowledged(t *testing.T, directory string, acknowledged map[string]bool) {
	t.Helper()
	m := reopen(t, directory)
	defer closeStore(t, m)
	there := make(map[string]bool)
	var at store.Position
	for {
		records, next, err := m.Read(t.Context(), purpose, at, 1000, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) == 0 {
			break
		}
		for _, record := range records {
			if there[record.ID] || !bytes.HasPrefix(record.Data, []byte(record.ID[:min(len(record.Data), len(record.ID))])) {
				t.Errorf("record %s is there twice, or holds %.40q", record.ID, record.Data)
			}
			there[record.ID] = true
		}
		at = next
	}
	for line := range acknowledged {
		kind, id, _ := strings.Cut(line, " ")
		if kind == "r" && !there[id] {
			t.Errorf("record %s was acknowledged and is lost", id)
		}
		if value, _, err := m.Get(t.Context(), purpose, id); kind == "v" && string(value) != id {
			t.Errorf("value %s was acknowledged and is lost: %q, %v", id, value, err)
		}
	}
}

// A mark that was written down survives a kill.
func TestPersistentMarksSurviveKills(t *testing.T) {
	directory := t.TempDir()
	marks := filepath.Join(directory, "marks")
	command := child(t, "append", directory)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(time.Minute)
	for commits := uint64(0); commits < 3; { // two were made with the file
		if content, err := os.ReadFile(marks); err == nil && len(content) > 1032 {
			commits = binary.BigEndian.Uint64(content[1024:])
		}
		select {
		case <-deadline:
			t.Fatal("no mark was written down")
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	m := reopen(t, directory)
	defer closeStore(t, m)
	if fresh, err := mark(t, m, purpose, "mark", time.Minute); fresh || err != nil {
		t.Errorf("the mark is gone: %t, %v", fresh, err)
	}
}
