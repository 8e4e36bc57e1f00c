package jose

import (
	"crypto/aes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
)

// deriveKey is the Concat KDF of NIST SP 800-56A with SHA-256, as RFC 7518, section
// 4.6.2, fills it in. The keys wanted have 32 octets at most, so one round is enough.
func deriveKey(shared []byte, algorithm string, partyU, partyV []byte, size int) []byte {
	text := binary.BigEndian.AppendUint32(nil, 1)
	text = append(text, shared...)
	for _, field := range [][]byte{[]byte(algorithm), partyU, partyV} {
		text = binary.BigEndian.AppendUint32(text, uint32(len(field))) //nolint:gosec // bounded when they were read
		text = append(text, field...)
	}
	text = binary.BigEndian.AppendUint32(text, uint32(size)*8) //nolint:gosec // 16, 24 or 32
	sum := sha256.Sum256(text)
	return sum[:size]
}

// unwrapKey is the AES key unwrapping of RFC 3394, section 2.2.2: six rounds over blocks
// of eight octets, the first of which must come out as the constant of section 2.2.3.1.
func unwrapKey(wrapping, wrapped []byte) ([]byte, bool) {
	const block = 8
	cipher, err := aes.NewCipher(wrapping)
	if err != nil || len(wrapped) < 3*block || len(wrapped)%block != 0 {
		return nil, false
	}
	n := len(wrapped)/block - 1
	key := append([]byte(nil), wrapped[block:]...)
	var pair [2 * block]byte
	copy(pair[:], wrapped[:block])
	for round := 5; round >= 0; round-- {
		for i := n; i >= 1; i-- {
			step := uint64(n*round + i) //nolint:gosec // at most 6n
			binary.BigEndian.PutUint64(pair[:], binary.BigEndian.Uint64(pair[:])^step)
			copy(pair[block:], key[(i-1)*block:])
			cipher.Decrypt(pair[:], pair[:])
			copy(key[(i-1)*block:], pair[block:])
		}
	}
	constant := [block]byte{0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6}
	return key, subtle.ConstantTimeCompare(pair[:block], constant[:]) == 1
}
