package token

// MaxLength is the longest credential that is looked at. Header limits of servers
// lie near 8 KiB; what is longer is an attack or a mistake.
const MaxLength = 16 << 10

const authorization = "Authorization"
