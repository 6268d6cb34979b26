#!/usr/bin/env bash
# Checks an installed libseed as a user's project sees it: moves a copy of the prefix to another place, builds the project of
# this folder outside the tree by find_package and by pkg-config, and runs both and seed-doctor from another directory.
#
#   tests/dist/check.sh PREFIX
set -euo pipefail
prefix=$(realpath "$1")
here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
moved="$work/moved place" # with a space in it
unset LD_LIBRARY_PATH PKG_CONFIG_PATH

# Links are kept, so libtorch is not copied where the prefix links to it.
cp -a "$prefix" "$moved"
mkdir "$work/project"
cp "$here/CMakeLists.txt" "$here/main.cpp" "$work/project"

echo "== soname"
soname=$(readelf -d "$moved/lib/libseed.so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
test -n "$soname"
test -e "$moved/lib/$soname"
echo "$soname"

echo "== find_package"
cmake -S "$work/project" -B "$work/build" -DCMAKE_PREFIX_PATH="$moved" -DCMAKE_BUILD_TYPE=Release >"$work/log" 2>&1 ||
  { cat "$work/log"; exit 1; }
cmake --build "$work/build" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
(cd / && "$work/build/uses_seed")

echo "== find_package refuses another version"
sed -i 's/find_package(seed 0.1 REQUIRED)/find_package(seed 0.999 REQUIRED)/' "$work/project/CMakeLists.txt"
if cmake -S "$work/project" -B "$work/refused" -DCMAKE_PREFIX_PATH="$moved" >"$work/log" 2>&1; then
  echo "find_package took $soname for 0.999" >&2
  exit 1
fi
grep -q "0.999" "$work/log"

echo "== pkg-config"
export PKG_CONFIG_PATH="$moved/lib/pkgconfig"
# It escapes the space for a shell to read.
eval "flags=($(pkg-config --cflags --libs seed)) libdir=$(pkg-config --variable=libdir seed)"
"${CXX:-c++}" -std=c++17 -Wall -Wextra -Wpedantic -Werror "$work/project/main.cpp" -o "$work/by-pkg-config" "${flags[@]}" \
  "-Wl,-rpath,$libdir"
(cd / && "$work/by-pkg-config")

echo "== seed-doctor"
(cd / && "$moved/bin/seed-doctor" >"$work/log") || { cat "$work/log"; exit 1; }
grep -qF "$(realpath "$moved")/lib/libseed.so" "$work/log"
tail -1 "$work/log"
