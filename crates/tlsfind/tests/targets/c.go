//go:build c

package main

// static int one(void) { return 1; }
import "C"

var _ = C.one()
