//go:build tools

// Package btcnode pins btcd, which tests build from here and run on simnet; go.sum says which bytes that is.
package btcnode

import _ "github.com/btcsuite/btcd"
