package tokentest

import (
	"bytes"
	"compress/zlib"
	"maps"
	"time"
)

// StatusListHeader is what the header of a Status List Token has of its own.
func StatusListHeader() map[string]any { return map[string]any{"typ": "statuslist+jwt"} }

// StatusListClaims are those of a Status List Token at that address, with changes; a
// nil value leaves a claim out. list is the member status_list; see StatusList.
func StatusListClaims(uri string, list any, changes map[string]any) map[string]any {
	now := time.Now()
	claims := map[string]any{"sub": uri, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "ttl": 60, "status_list": list}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// StatusList is the member status_list, of entries of that many bits.
func StatusList(bits int, packed []byte) map[string]any {
	return map[string]any{"bits": bits, "lst": Encode(Zlib(packed))}
}

// Status is the claim of a token that names an entry of a list.
func Status(uri string, index int) map[string]any {
	return map[string]any{"status_list": map[string]any{"uri": uri, "idx": index}}
}

// Zlib compresses data (RFC 1950).
func Zlib(data []byte) []byte {
	var compressed bytes.Buffer
	writer := zlib.NewWriter(&compressed)
	_, _ = writer.Write(data) // a buffer takes all
	_ = writer.Close()
	return compressed.Bytes()
}
