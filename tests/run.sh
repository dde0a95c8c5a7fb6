#!/usr/bin/env bash
# Installs what is missing, builds, and runs the tests: `tests/run.sh` for all of them, `tests/run.sh LABEL...` for the
# tests of some labels (quick full fuzz e2e cluster sim). Works in a fresh clone on a fresh Debian 12 or 13.
#
# Builds, all below build/: asan (gcc, address + undefined: all tests), tsan (the unit tests again: what has threads is there),
# fuzz (clang libFuzzer: short runs), dev (thousands of simulated minutes) and release (what the crash rounds kill and the
# micro-benchmarks count). All tests then
# run in one ctest, whose summary comes last. A test that cannot run exits 77 and counts as skipped; with CI=true it counts as failed.
set -euo pipefail
cd "$(dirname "$0")/.."

jobs=$(nproc)
# What another clone compiled serves this one too.
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=true CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-10G}
started=$SECONDS
timing=""

phase() { # phase NAME COMMAND...: runs it and remembers what it took; its output only matters when it fails (and -e is off in it)
  local name=$1 before=$SECONDS log=build/log/${1// /-}.log
  shift
  mkdir -p build/log
  echo "== $name"
  if ! "$@" >"$log" 2>&1; then
    tail -n 60 "$log"
    echo "run.sh: $name failed; the whole output is in $log" >&2
    exit 1
  fi
  timing+=$(printf '%5d s  %s' $((SECONDS - before)) "$name")$'\n'
}

want() { # want LABEL...: whether one of them was asked for
  [ ${#labels[@]} -eq 0 ] && return 0
  local asked label
  for asked in "${labels[@]}"; do
    for label in "$@"; do [ "$asked" = "$label" ] && return 0; done
  done
  return 1
}

build() { # build PRESET TARGET...: the target "units" stands for all unit tests
  local preset=$1 targets
  shift
  targets=("$@")
  # clang warns of more than gcc does; our warnings are errors in the builds by gcc.
  local werror=ON
  if [ "$preset" = fuzz ]; then werror=OFF; fi
  cmake --preset "$preset" -DPB_NPM="$PWD/build/npm" -DPB_NPM_KUBERNETES="$PWD/build/npm-kubernetes" -DPB_WERROR=$werror || return
  if [ "$1" = units ]; then
    mapfile -t targets < <(cmake --build "build/$preset" --target help | sed -n 's/^\(unit_[a-z0-9_]*\): phony$/\1/p')
  fi
  cmake --build "build/$preset" -j "$jobs" --target "${targets[@]}"
}

npm_packages() { # npm_packages FROM TO: what FROM's package.json names, into the folder TO
  mkdir -p "$2"
  cp "$1/package.json" "$1/package-lock.json" "$2/"
  if ! cmp -s "$2/package-lock.json" "$2/installed.json"; then
    (cd "$2" && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier) && cp "$2/package-lock.json" "$2/installed.json"
  fi
}

api_types() { # without them one test is skipped
  npm_packages tests/kubernetes build/npm-kubernetes || echo "no API types: kubernetes_manifests will be skipped"
}

labels=("$@")
for label in "${labels[@]}"; do
  case $label in
    quick | full | fuzz | e2e | cluster | sim) ;;
    *) echo "usage: tests/run.sh [quick|full|fuzz|e2e|cluster|sim]..." >&2 && exit 2 ;;
  esac
done

phase "install packages" ./deploy/scripts/install_deps.sh test
if want full e2e; then phase "install npm clients" npm_packages tests/e2e build/npm; fi
if want full; then phase "install API types" api_types; fi
phase "build asan" build asan all
if want full cluster; then phase "build release" build release pillarbox micro_count; fi
if want full sim; then phase "build dev" build dev sim_mail; fi
if want quick; then phase "build tsan" build tsan units; fi
if want full fuzz; then phase "build fuzz" build fuzz fuzzers; fi

# What has one thread only is not run again under TSan: it would take most of that build's time.
threaded='^unit_(?!storage_apply|storage_search|storage_check|proto_message|replication)'
# One list of tests over the builds: all of asan's, tsan's unit tests, fuzz's short runs.
python3 tests/support/ctest_merge.py --out build/tests --labels "${labels[*]}" build/asan \
  $(if want quick; then echo "build/tsan=quick:$threaded"; fi) $(if want full fuzz; then echo build/fuzz=fuzz; fi) \
  $(if want full sim; then echo 'build/dev=sim:^sim_mail_many'; fi)

echo
echo "Time so far:"
printf '%s%5d s  in all; the tests follow\n\n' "$timing" $((SECONDS - started))

export PB_RELEASE_BIN="$PWD/build/release/program/pillarbox"
export PB_RELEASE_MICRO="$PWD/build/release/bench/micro/micro_count"
export ASAN_OPTIONS=${ASAN_OPTIONS:-strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1}
# Sanitizers of these compilers cannot map their shadow where newer kernels randomize with 32 bits.
plain=()
if setarch "$(uname -m)" -R true 2>/dev/null; then plain=(setarch "$(uname -m)" -R); fi

status=0
"${plain[@]}" ctest --test-dir build/tests -j "$jobs" --output-on-failure --timeout 600 2>&1 |
  tee build/log/ctest.log || status=$?
python3 tests/support/budgets.py build/log/ctest.log "$jobs" || status=1
exit "$status"
