#!/usr/bin/env bash
# Checks and tests the Go binding and its example against a built library.
#
#   test.sh [FOLDER of libseed.so] [arguments of go test]
#
# The folder is target/release or target/debug of the repository if none is given.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=${1:-}
[ "$#" -gt 0 ] && shift
if [ -z "$folder" ]; then
  for folder in "$root/target/release" "$root/target/debug"; do
    [ -e "$folder/libseed.so" ] && break
  done
fi
if [ ! -e "$folder/libseed.so" ]; then
  echo "test.sh: no libseed.so in $folder; run cargo build first" >&2
  exit 2
fi
folder=$(cd "$folder" && pwd)

# What an installed libseed brings along.
package=$(mktemp -d)
trap 'rm -r "$package"' EXIT
cat >"$package/seed.pc" <<PC
Name: seed
Description: self-supervised distillation of compact vision networks
Version: 0.1.0
Cflags: -I$root/include
Libs: -L$folder -lseed
PC
export PKG_CONFIG_PATH=$package${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export CGO_CFLAGS="${CGO_CFLAGS:--O2 -g} -Wall -Wextra -Werror"
export GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local

for module in "$root/bindings/go" "$root/examples/go"; do
  cd "$module"
  unformatted=$("$(go env GOROOT)/bin/gofmt" -l .)
  if [ -n "$unformatted" ]; then
    echo "test.sh: not formatted by gofmt: $unformatted" >&2
    exit 1
  fi
  go vet ./...
  go test -race "$@" ./...
done
