#!/usr/bin/env bash
# Compiles the C# binding, its tests and its example with mono's mcs and runs the tests on mono and on .NET.
#
#   test.sh [FOLDER of libseed.so] [WORD...]     only tests with one of the words in their name
#
# The folder is target/release or target/debug of the repository if none is given. The .NET runtime is $DOTNET, or dotnet
# of the path. RUNTIMES="mono" or "dotnet" leaves the other out; both are wanted otherwise, and a missing one is a failure.
# LEAVING_ROUNDS is how often a program ends in each way (3).
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
command -v script >/dev/null || missing "no script; apt-get install bsdutils"
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
build -unsafe -main:LibSeed.Tests.Program -r:"$work/LibSeed.dll" -r:System.Core.dll -r:System.Xml.dll -out:"$work/LibSeed.Tests.exe" \
  "$root"/bindings/csharp/tests/*.cs "$root"/examples/csharp/*.cs
# The README's program, with the tests' paths and time.
awk '/^```csharp$/ { on = 1; next } /^```$/ { on = 0 } on' "$root/README.md" |
  sed -e 's|/data/frames|images|; s|resnet50.pth|teacher.safetensors|; s|"resnet50"|"mobilenet_v3_small"|' \
    -e 's|FromSeconds(600)|FromSeconds(2)|' >"$work/Readme.cs"
grep -q 'FromSeconds(2)' "$work/Readme.cs" || missing "no program in C# in README.md"
build -r:"$work/LibSeed.dll" -out:"$work/Readme.exe" "$work/Readme.cs"
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

# Runs the example in a terminal, presses Ctrl-C and looks for what it has saved.
interrupted() { # RUNTIME
  local place=$work/$1 output=$work/$1/output
  mkdir "$place"
  mkfifo "$place/keys"
  on "$1" "$work/LibSeed.Tests.exe" --example "$place"
  {
    declare -p work dotnet
    declare -f on
    printf 'on %q %q --images %q --teacher %q --teacher-arch mobilenet_v3_small --steps 1000000 --batch 4 --size 32 --out %q\n' "$1" \
      "$work/Distill.exe" "$place/images" "$place/teacher.safetensors" "$place/student.safetensors"
  } >"$place/program"
  # Without job control what is in the background ignores interrupts.
  set -m
  # The shell is named: script takes $SHELL, else sh, and a dash between it and the program ends with 130 whatever the program says.
  SHELL=$BASH TERM=xterm timeout --foreground 300 script --quiet --return --flush --command "bash $place/program" /dev/null <"$place/keys" >"$output" 2>&1 &
  local job=$! keys
  set +m
  exec {keys}>"$place/keys"
  for _ in $(seq 600); do
    grep -q 'step [1-9]' "$output" || ! kill -0 "$job" 2>/dev/null && break
    sleep .1
  done
  printf '\003' >&"$keys"
  local status=0
  wait "$job" || status=$?
  if [ "$status" -ne 0 ] || ! grep -q 'interrupted at step [1-9]' "$output" || ! grep -q 'is most like' "$output" ||
    [ ! -s "$place/student.safetensors" ]; then
    echo "test.sh: the interrupted example on $1 went wrong (it ended with $status):" >&2
    cat "$output" >&2
    exit 1
  fi
  exec {keys}>&-
  echo "ok    the example as a program, interrupted"
}

# Runs the program of README.md on small frames for some seconds.
readme() { # RUNTIME
  local place=$work/readme-$1
  mkdir "$place"
  on "$1" "$work/LibSeed.Tests.exe" --example "$place"
  (cd "$place" && on "$1" "$work/Readme.exe") >"$place/output" 2>&1 || true
  if ! grep -q 'agreement with the teacher: [0-9]' "$place/output" || grep -qi nan "$place/output" ||
    [ ! -s "$place/out/student.safetensors" ] || [ ! -s "$place/out/report.html" ]; then
    echo "test.sh: the README's program on $1 went wrong:" >&2
    cat "$place/output" >&2
    exit 1
  fi
  echo "ok    the README's program"
}

# libtorch's threads wait asleep, or the tests take minutes beside other work.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

for runtime in $runtimes; do
  echo "== C# on $runtime"
  export LD_LIBRARY_PATH=$folder
  on "$runtime" "$work/LibSeed.Tests.exe" --header "$root/include/seed.h" "$@"
  if [ "$#" -eq 0 ]; then
    for way in run embed images bank fit store paused callback; do
      for _ in $(seq "${LEAVING_ROUNDS:-3}"); do
        status=0
        # What is left behind goes with the folder.
        TMPDIR=$work timeout 120 bash -c "$(declare -p work dotnet); $(declare -f on); on $runtime '$work/LibSeed.Tests.exe' --leave $way" || status=$?
        if [ "$status" -ne 7 ]; then
          echo "test.sh: a program on $runtime that ends during calls ($way) ended with $status, expected 7" >&2
          exit 1
        fi
      done
      echo "ok    a program that ends during calls: $way"
    done
    interrupted "$runtime"
    readme "$runtime"
  fi
done
