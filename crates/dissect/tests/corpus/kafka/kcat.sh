#!/bin/sh
# kcat against the mock broker that lives in another kcat: every compression, a group, an error.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkfifo "$work/in"
kcat -P -b ignored -X test.mock.num.brokers=1 -t orders -K: -X client.id=owner <"$work/in" 2>"$work/err" &
exec 9>"$work/in"
until grep -q 'replaced with' "$work/err"; do sleep 0.1; done
broker=$(sed -n 's/.*replaced with //p' "$work/err")
value=$(head -c 400 /dev/zero | tr '\0' a)
for codec in none gzip snappy lz4 zstd; do
    echo "order-$codec:$value" |
        kcat -P -b "$broker" -t orders -p 0 -K: -z $codec -H trace=$codec -X client.id=shop-$codec
done
kcat -C -b "$broker" -t orders -p 0 -o beginning -e -X client.id=reader
kcat -G billing -b "$broker" -X client.id=invoices -X auto.offset.reset=earliest -c 5 orders
kcat -C -b "$broker" -t orders -p 0 -o 1000 -e -X client.id=lost -X auto.offset.reset=error || true
exec 9>&-
