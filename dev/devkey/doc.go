// Package devkey is a guest among the key modules, gatehouse.keys.dev_slot: it stands
// for those that others write for a KMS or a PKCS#11 device, and knows no more of
// Gatehouse than they can. Its device is a file.
//
// It is for tests, which lock and break the slot. It is linked by cmd/gatehouse-dev
// alone.
package devkey
