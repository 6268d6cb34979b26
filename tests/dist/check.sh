#!/usr/bin/env bash
# Checks an installed libseed as a user's project sees it. A copy of the prefix is moved to another place; the project of this
# folder is built outside the tree by find_package and by pkg-config; both and seed-doctor run from another directory, with
# libtorch beside libseed, by SEED_LIBTORCH and by the loader, and without it or with another one.
#
#   tests/dist/check.sh PREFIX LIBTORCH
set -euo pipefail
prefix=$(realpath "$1")
libtorch=$(realpath "$2")
here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
moved="$work/moved place" # with a space in it
unset LD_LIBRARY_PATH PKG_CONFIG_PATH SEED_LIBTORCH

fail() {
  echo "$*" >&2
  exit 1
}

# Runs "$@" from another directory; shows what it said when it fails.
quietly() {
  (cd / && "$@" >"$work/log" 2>&1) || { cat "$work/log"; fail "failed: $*"; }
}

# Runs "$@" from another directory; it must fail, and its output hold every line of standard input.
refused() {
  if (cd / && "$@" >"$work/log" 2>&1); then cat "$work/log"; fail "was not refused: $*"; fi
  while IFS= read -r words; do
    grep -qF -- "$words" "$work/log" || { cat "$work/log"; fail "the message lacks: $words"; }
  done
}

cp -a "$prefix" "$moved"
mkdir "$work/project"
cp "$here/CMakeLists.txt" "$here/main.cpp" "$work/project"

echo "== soname, run paths, exported symbols"
soname=$(readelf -d "$moved/lib/libseed.so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
test -n "$soname" && test -e "$moved/lib/$soname" || fail "libseed.so has no soname that is there"
for file in "$moved"/lib/*.so.* "$moved"/bin/*; do
  # What fetches libtorch is a script.
  [ "$(head -c 4 "$file" | tail -c 3)" = ELF ] || continue
  readelf -d "$file" | sed -n 's/.*\(RPATH\|RUNPATH\).*\[\(.*\)\]/\2/p' | tr ':' '\n' | while IFS= read -r place; do
    case $place in
      '$ORIGIN' | '$ORIGIN'/*) ;;
      *) fail "$file has the run path $place" ;;
    esac
  done
done
readelf -d "$moved/lib/$soname" | grep -q 'NEEDED.*torch' && fail "$soname needs libtorch before it can speak"
exported() {
  readelf --dyn-syms --wide "$1" | awk '$7 != "UND" && ($5 == "GLOBAL" || $5 == "WEAK") && $8 != "" {print $8}' | sort
}
exported "$moved/lib/$soname" >"$work/exported"
diff "$work/exported" "$here/../../include/seed.sym" || fail "$soname does not export what seed.sym lists"
# tch marks its callbacks for export and cargo obeys; they are seen by nobody, since the front loads the core locally.
exported "$moved"/lib/libseed_core.so.* | grep -v -e '^seed_' -e '^tch_\(read\|write\)_stream_' -e '^bz_internal_error$' &&
  fail "libseed_core exports these"
echo "$soname"

echo "== find_package"
quietly cmake -S "$work/project" -B "$work/build" -DCMAKE_PREFIX_PATH="$moved" -DCMAKE_BUILD_TYPE=Release
quietly cmake --build "$work/build"

echo "== find_package refuses another version"
sed -i 's/find_package(seed 0.1 REQUIRED)/find_package(seed 0.999 REQUIRED)/' "$work/project/CMakeLists.txt"
echo 0.999 | refused cmake -S "$work/project" -B "$work/refused" -DCMAKE_PREFIX_PATH="$moved"

echo "== pkg-config"
# It escapes the space for a shell to read.
export PKG_CONFIG_PATH="$moved/lib/pkgconfig"
eval "flags=($(pkg-config --cflags --libs seed)) libdir=$(pkg-config --variable=libdir seed)"
quietly "${CXX:-c++}" -std=c++17 -Wall -Wextra -Wpedantic -Werror "$work/project/main.cpp" -o "$work/by-pkg-config" \
  "${flags[@]}" "-Wl,-rpath,$libdir"

programs=("$work/build/uses_seed" "$work/by-pkg-config")
doctor="$moved/bin/seed-doctor"
lib=$(realpath "$moved")/lib

echo "== without libtorch: what is wanted, where it was looked for, what to do"
for program in "${programs[@]}" "$doctor"; do
  refused "$program" <<END
libseed needs libtorch 2.11.0 and did not find it
SEED_LIBTORCH is not set
$lib, $lib/libtorch/lib or ${lib%/lib}/libtorch/lib
libtorch_cpu.so: cannot open shared object file
; set SEED_LIBTORCH to the folder of a libtorch 2.11.0
END
done
SEED_LIBTORCH=/no/such refused "$doctor" <<END
SEED_LIBTORCH is /no/such, but neither /no/such/lib nor /no/such has a libtorch_cpu.so
END

echo "== SEED_LIBTORCH"
for folder in "$libtorch" "$libtorch/lib"; do
  for program in "${programs[@]}"; do SEED_LIBTORCH=$folder quietly "$program"; done
done

echo "== the loader"
for program in "${programs[@]}"; do LD_LIBRARY_PATH="$libtorch/lib" quietly "$program"; done

echo "== beside libseed"
for place in "$moved/libtorch" "$moved/lib/libtorch"; do
  ln -s "$libtorch" "$place"
  for program in "${programs[@]}"; do quietly "$program"; done
  rm "$place"
done

echo "== another version of libtorch"
mkdir -p "$work/other/lib"
echo 'unsigned long aoti_torch_abi_version(void) { return 2ul << 56 | 10ul << 48 | 1ul << 40; }' >"$work/other.c"
quietly "${CC:-cc}" -shared -fPIC -Wl,-soname,libtorch_cpu.so "$work/other.c" -o "$work/other/lib/libtorch_cpu.so"
other="$work/other/lib/libtorch_cpu.so, found"
SEED_LIBTORCH="$work/other" refused "${programs[0]}" <<END
libseed needs libtorch 2.11.0, but $other by SEED_LIBTORCH, is 2.10.1
END
LD_LIBRARY_PATH="$work/other/lib" refused "${programs[1]}" <<END
libseed needs libtorch 2.11.0, but $other by the loader, is 2.10.1; set SEED_LIBTORCH
END
ln -s "$work/other" "$moved/libtorch"
refused "$doctor" <<END
found beside libseed, is 2.10.1; put libtorch 2.11.0 there
END
# What is named goes before what lies beside.
SEED_LIBTORCH=$libtorch quietly "${programs[0]}"
rm "$moved/libtorch"

echo "== libtorch's CUDA part is looked for beside libtorch"
mkdir -p "$work/cuda/lib"
ln -s "$libtorch"/lib/* "$work/cuda/lib"
if [ ! -e "$work/cuda/lib/libtorch_cuda.so" ]; then
  echo 'int nothing;' >"$work/cuda.c"
  quietly "${CC:-cc}" -shared -fPIC "$work/cuda.c" -o "$work/cuda/lib/libtorch_cuda.so"
fi
ln -s "$work/cuda" "$moved/libtorch"
quietly "$doctor"
grep -qE 'libtorch_cuda.so +/' "$work/log" || { cat "$work/log"; fail "libtorch_cuda.so was not loaded"; }
rm "$moved/libtorch"

echo "== seed-fetch-libtorch"
fetch="$moved/bin/seed-fetch-libtorch"
mkdir "$work/wheels"
wheel=$(sed -n 's/^ *("torch==[^"]*", "\([^"]*\)".*/\1/p' "$fetch")
echo "no wheel" >"$work/wheels/$wheel"
refused "$fetch" --wheels "$work/wheels" <<END
$wheel has 9 bytes, expected
remove it and try again
END
test ! -e "$moved/libtorch" && test ! -e "$moved/libtorch.draft" || fail "a fetch that failed left something behind"
if [ -n "${SEED_WHEELS:-}" ]; then
  wheels=$(realpath "$SEED_WHEELS")
  quietly "$fetch" --wheels "$wheels"
  for program in "${programs[@]}" "$doctor"; do quietly "$program"; done
  quietly "$fetch" # it is there already
  rm -r "$moved/libtorch"
else
  echo "SKIPPED: SEED_WHEELS names no folder with the wheels of libtorch"
fi

ln -s "$libtorch" "$moved/libtorch"
echo "== the checks of the C ABI, through the front"
quietly "${CC:-cc}" -std=c99 -I "$moved/include" "$here/../capi/basics.c" -o "$work/basics" -L "$moved/lib" -lseed -lm \
  "-Wl,-rpath,$lib"
mkdir "$work/basics.out"
quietly "$work/basics" "$work/basics.out"

echo "== seed-doctor"
quietly "$doctor"
grep -qF "$lib/libseed.so" "$work/log"
tail -1 "$work/log"

# Tells that something cannot be tried here; in CI that is a failure.
skipped() {
  [ -z "${CI:-}" ] || fail "$1"
  echo "SKIPPED: $1"
}

echo "== the examples of C and C++, compiled from the package"
doc="$moved/share/doc/libseed"
mkdir -p "$work/bin" "$work/try/images/rows" "$work/try/images/columns"
for file in "$doc"/examples/c/*.c; do
  quietly "${CC:-cc}" -std=c99 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Werror "$file" -o "$work/bin/$(basename "$file" .c)-c" \
    "${flags[@]}" -lm "-Wl,-rpath,$libdir"
done
opencv=/usr/include/opencv4
for file in "$here/fixture.cpp" "$doc"/examples/cpp/*.cpp; do
  more=()
  if [ "$(basename "$file")" = opencv.cpp ]; then
    [ -f "$opencv/opencv2/imgcodecs.hpp" ] || { skipped "opencv.cpp needs OpenCV's headers" && continue; }
    more=(-isystem "$opencv" -lopencv_core -lopencv_imgcodecs)
  fi
  quietly "${CXX:-c++}" -std=c++17 -Wall -Wextra -Werror "$file" -o "$work/bin/$(basename "$file" .cpp)" "${flags[@]}" \
    "${more[@]}" -pthread "-Wl,-rpath,$libdir"
done
export OMP_WAIT_POLICY=passive
try="$work/try" images="$work/try/images" network="$work/try/network.safetensors"
quietly "$work/bin/fixture" "$try"
quietly "$work/bin/embed-c" "$network"
for folder in folder-c folder; do
  quietly "$work/bin/$folder" "$images" "$network" mobilenet_v3_small "$try/$folder.safetensors" 32 3 8
  test -s "$try/$folder.safetensors" || fail "$folder wrote no student"
done
quietly env -C "$try" "$work/bin/finetune" "$network" "$images" "$try/classifier.safetensors" # its report goes where it runs
test -s "$try/classifier.safetensors" || fail "finetune wrote no classifier"
quietly "$work/bin/store" "$network" "$try/line.seed" "$images" 100

# cgo splits the flags of pkg-config at spaces.
ln -s "$moved" "$work/plain"
export PKG_CONFIG_PATH="$work/plain/lib/pkgconfig"
if command -v go >/dev/null; then
  echo "== the example of Go, compiled from the package"
  (cd "$doc/examples/go" && GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local CGO_LDFLAGS="-Wl,-rpath,$work/plain/lib" \
    go build -o "$work/bin/distill-go" .)
  quietly "$work/bin/distill-go" -images "$images" -teacher "$network" -teacher-arch mobilenet_v3_small -out "$try/go.safetensors" \
    -steps 3 -batch 8 -size 32
  test -s "$try/go.safetensors" || fail "the example of Go wrote no student"
else
  skipped "the example of Go needs go in the path"
fi
if command -v mcs >/dev/null; then
  echo "== the example of C#, compiled from the package"
  quietly mcs -langversion:latest -target:library -unsafe -out:"$work/bin/LibSeed.dll" "$doc"/bindings/csharp/src/*.cs
  quietly mcs -langversion:latest -r:"$work/bin/LibSeed.dll" -out:"$work/bin/Distill.exe" "$doc"/examples/csharp/*.cs
  if command -v mono >/dev/null; then
    LD_LIBRARY_PATH="$lib" quietly mono "$work/bin/Distill.exe" --images "$images" --teacher "$network" --teacher-arch mobilenet_v3_small \
      --out "$try/cs.safetensors" --steps 3 --batch 8 --size 32
    test -s "$try/cs.safetensors" || fail "the example of C# wrote no student"
  else
    skipped "the example of C# needs mono in the path"
  fi
else
  skipped "the example of C# needs mcs in the path"
fi
