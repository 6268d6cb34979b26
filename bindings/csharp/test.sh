#!/usr/bin/env bash
# Compiles the C# binding, its tests and its example with mono's mcs and runs the tests on mono and on .NET.
#
#   test.sh [FOLDER of libseed.so] [WORD...]     only tests with one of the words in their name
#
# The folder is target/release or target/debug of the repository if none is given. The .NET runtime is $DOTNET, or dotnet
# of the path. RUNTIMES="mono" or "dotnet" leaves the other out; both are wanted otherwise, and a missing one is a failure.
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

dotnet=${DOTNET:-dotnet}
runtimes=${RUNTIMES:-mono dotnet}
missing() {
  echo "test.sh: $1" >&2
  exit 2
}
command -v mcs >/dev/null || missing "no mcs; apt-get install mono-mcs libmono-system-core4.0-cil"
for runtime in $runtimes; do
  case $runtime in
    mono) command -v mono >/dev/null || missing "no mono; apt-get install mono-runtime, or RUNTIMES=dotnet" ;;
    dotnet) command -v "$dotnet" >/dev/null || missing "no $dotnet; set DOTNET to the program of a .NET 8 runtime, or RUNTIMES=mono" ;;
    *) missing "RUNTIMES holds $runtime, expected mono or dotnet" ;;
  esac
done

work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
build() {
  mcs -langversion:latest -warn:4 -warnaserror -debug "$@"
}
build -target:library -unsafe -doc:"$work/LibSeed.xml" -out:"$work/LibSeed.dll" "$root"/bindings/csharp/src/*.cs
build -r:"$work/LibSeed.dll" -out:"$work/Distill.exe" "$root"/examples/csharp/*.cs
build -unsafe -main:LibSeed.Tests.Program -r:"$work/LibSeed.dll" -r:System.Core.dll -out:"$work/LibSeed.Tests.exe" \
  "$root"/bindings/csharp/tests/*.cs "$root"/examples/csharp/*.cs
cat >"$work/net.json" <<'JSON'
{
  "runtimeOptions": {
    "framework": { "name": "Microsoft.NETCore.App", "version": "8.0.0" },
    "configProperties": { "System.Globalization.Invariant": true }
  }
}
JSON

on() { # RUNTIME PROGRAM ARGUMENTS...
  case $1 in
    mono) shift && mono --debug "$@" ;;
    dotnet) shift && "$dotnet" exec --runtimeconfig "$work/net.json" "$@" ;;
  esac
}

for runtime in $runtimes; do
  echo "== C# on $runtime"
  export LD_LIBRARY_PATH=$folder
  on "$runtime" "$work/LibSeed.Tests.exe" --header "$root/include/seed.h" "$@"
done
