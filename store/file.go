package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// A file is a list of changes on the disk that only grows, in frames: the length and
// the checksum of what follows, then changes that were committed together. Its head
// says up to where it counts, twice, in turn: a commit writes its frame through to the
// disk, and then one of the two. So whatever happens in between, what counts is
// complete, and a frame that counts and cannot be read is damage and no crash.
type file struct {
	path     string
	disk     *os.File
	size     int64  // up to where the file counts
	counter  uint64 // of the newest statement in the head
	doubtful bool   // the head may say more than size
	// unsettled says that the directory may not name this file yet on the disk.
	unsettled bool
}

const (
	magic     = "GHstore1"
	headSize  = 4096
	frameHead = 8
	// maxFrame is far above what is committed at once.
	maxFrame = 64 << 20
	// newSuffix is that of a file that is not complete yet.
	newSuffix = ".new"
)

// slots are where the two statements of the head lie: in different sectors of a disk.
var slots = [2]int64{512, 1024}

const slotSize = 20

// A statement says up to where a file counts. The one with the higher counter is newer.
type statement struct {
	Counter uint64
	Size    int64
}

func (s statement) slot() []byte {
	slot, _ := binary.Append(nil, binary.BigEndian, s) // fails for types without a size only
	return binary.BigEndian.AppendUint32(slot, crc32.Checksum(slot, checksums))
}

// readSlot reads what slot wrote; ok is false if it is damaged.
func readSlot(slot []byte) (read statement, ok bool) {
	const end = slotSize - crc32.Size
	if _, err := binary.Decode(slot[:end], binary.BigEndian, &read); err != nil {
		return statement{}, false
	}
	return read, crc32.Checksum(slot[:end], checksums) == binary.BigEndian.Uint32(slot[end:])
}

var checksums = crc32.MakeTable(crc32.Castagnoli)

// errDamaged says that a file does not hold what was once written.
var errDamaged = errors.New("it is damaged")

// createFile writes a new file in place of one that is there. After a crash one of
// them is there in full.
func createFile(path string, fill func(commit func(changes []byte) error) error) (*file, error) {
	made, err := writeFile(path, fill)
	if err != nil {
		return nil, err
	}
	if err := made.install(); err != nil {
		return nil, errors.Join(err, made.discard())
	}
	return made, nil
}

// writeFile writes a file that is not in its place yet.
func writeFile(path string, fill func(commit func(changes []byte) error) error) (*file, error) {
	disk, err := os.OpenFile(path+newSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	made := &file{path: path, disk: disk, size: headSize}
	if err := made.fill(fill); err != nil {
		return nil, errors.Join(err, made.discard())
	}
	return made, nil
}

// install puts what writeFile wrote in its place. From then on it is the file: one
// that was there is gone with its last process.
func (f *file) install() error {
	if err := os.Rename(f.path+newSuffix, f.path); err != nil {
		return err
	}
	f.unsettled = syncDirectory(filepath.Dir(f.path)) != nil
	return nil
}

// discard drops what writeFile wrote.
func (f *file) discard() error { return errors.Join(f.close(), os.Remove(f.path+newSuffix)) }

func (f *file) fill(fill func(commit func(changes []byte) error) error) error {
	out := bufio.NewWriterSize(f.disk, 1<<20)
	if _, err := out.Write(append([]byte(magic), make([]byte, headSize-len(magic))...)); err != nil {
		return err
	}
	err := fill(func(changes []byte) error {
		f.size += frameHead + int64(len(changes))
		if _, err := out.Write(frameOf(nil, changes)); err != nil {
			return err
		}
		return nil
	})
	if err := errors.Join(err, out.Flush()); err != nil {
		return err
	}
	return errors.Join(f.state(f.size), f.state(f.size))
}

// commit adds changes. When it returns without an error they are on the disk.
func (f *file) commit(changes []byte) error {
	if f.unsettled {
		if err := syncDirectory(filepath.Dir(f.path)); err != nil {
			return err
		}
		f.unsettled = false
	}
	if f.doubtful {
		if err := f.state(f.size); err != nil {
			return err
		}
		f.doubtful = false
	}
	frame := frameOf(nil, changes)
	if _, err := f.disk.WriteAt(frame, f.size); err != nil {
		return err
	}
	if err := f.disk.Sync(); err != nil {
		return err
	}
	grown := f.size + int64(len(frame))
	f.doubtful = true
	if err := f.state(grown); err != nil {
		return err
	}
	f.doubtful, f.size = false, grown
	return nil
}

// errGone says that what would be written now would be lost with the process.
var errGone = errors.New("the file was removed or replaced while it was open: restart the gateway, which makes it anew")

// there tells whether the path still leads to the file that is open. A file that was
// removed can be written to as before, and is found by nobody afterwards.
func (f *file) there() error {
	open, err := f.disk.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errGone
	case err != nil:
		return err
	case !os.SameFile(open, named):
		return errGone
	}
	return nil
}

// state writes into the head up to where the file counts.
func (f *file) state(size int64) error {
	f.counter++
	if _, err := f.disk.WriteAt(statement{f.counter, size}.slot(), slots[f.counter%2]); err != nil {
		return err
	}
	return f.disk.Sync()
}

func (f *file) close() error { return f.disk.Close() }

func frameOf(to, changes []byte) []byte {
	to = binary.BigEndian.AppendUint32(to, uint32(len(changes))) //nolint:gosec // maxFrame at most
	to = binary.BigEndian.AppendUint32(to, crc32.Checksum(changes, checksums))
	return append(to, changes...)
}

// openFile opens a file and hands over all changes that count. Where there is none the
// error is fs.ErrNotExist.
func openFile(path string, each func(changes []byte) error) (opened *file, err error) {
	disk, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, disk.Close())
		}
	}()
	opened = &file{path: path, disk: disk}
	info, err := disk.Stat()
	if err != nil {
		return nil, err
	}
	if err := opened.readAll(disk, info.Size(), each); err != nil {
		return nil, err
	}
	// What does not count was in no answer to anybody. It goes, so that it cannot be
	// taken for something later.
	return opened, disk.Truncate(opened.size)
}

// readAll reads a file of that length.
func (f *file) readAll(from io.ReaderAt, length int64, each func(changes []byte) error) error {
	both, err := f.readHead(from)
	if err != nil {
		return err
	}
	if f.size < headSize || f.size > length {
		return fmt.Errorf("%w: it is shorter than it was", errDamaged)
	}
	in := bufio.NewReaderSize(io.NewSectionReader(from, headSize, length-headSize), 64<<10)
	at := int64(headSize)
	for at < f.size {
		changes, err := readFrame(in, f.size-at)
		if err != nil {
			return err
		}
		if err := each(changes); err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		at += frameHead + int64(len(changes))
	}
	if both {
		return nil
	}
	// One statement is lost, maybe the newer one, and then there is one frame more.
	if changes, err := readFrame(in, length-at); err == nil && len(changes) > 0 {
		if err := each(changes); err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		f.size = at + frameHead + int64(len(changes))
	}
	f.doubtful = true
	return nil
}

// readHead finds the newest statement, and tells whether both could be read.
func (f *file) readHead(from io.ReaderAt) (both bool, err error) {
	head := make([]byte, headSize)
	if _, err := from.ReadAt(head, 0); errors.Is(err, io.EOF) {
		return false, fmt.Errorf("%w: it is shorter than it was", errDamaged)
	} else if err != nil {
		return false, err
	}
	if string(head[:len(magic)]) != magic {
		return false, fmt.Errorf("%w: it does not begin like a store", errDamaged)
	}
	good := 0
	for _, at := range slots {
		said, ok := readSlot(head[at : at+slotSize])
		if !ok {
			continue
		}
		good++
		if good == 1 || said.Counter > f.counter {
			f.counter, f.size = said.Counter, said.Size
		}
	}
	if good == 0 {
		return false, fmt.Errorf("%w: nothing says up to where it counts", errDamaged)
	}
	return good == len(slots), nil
}

// readFrame reads a frame that takes no more than so much.
func readFrame(in io.Reader, most int64) (changes []byte, err error) {
	var head [frameHead]byte
	if most < frameHead {
		return nil, fmt.Errorf("%w: a frame is cut off", errDamaged)
	}
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	length := int64(binary.BigEndian.Uint32(head[:]))
	if length > most-frameHead || length > maxFrame {
		return nil, fmt.Errorf("%w: a frame is cut off", errDamaged)
	}
	changes = make([]byte, length)
	if _, err := io.ReadFull(in, changes); err != nil {
		return nil, err
	}
	if crc32.Checksum(changes, checksums) != binary.BigEndian.Uint32(head[4:]) {
		return nil, fmt.Errorf("%w: a checksum is wrong", errDamaged)
	}
	return changes, nil
}

// syncDirectory makes a rename last. Systems that cannot do so for a directory do it
// by themselves.
func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	err = directory.Sync()
	if errors.Is(err, fs.ErrInvalid) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, directory.Close())
}
