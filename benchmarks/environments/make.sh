#!/usr/bin/env bash
# Make the environment of a peer: benchmarks/environments/make.sh NAME..., or `all`.
#
# Each goes to $ENCSERVE_BENCH (~/.cache/encserve-bench)/environments/NAME. The CPU build of torch is linked from .venv,
# so that no environment fetches gigabytes of CUDA. NAME.txt is installed with its dependencies, NAME.over over that,
# against what the packages of NAME.txt declare. What a failed one said last is kept in NAME.failed, and the results quote
# it.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-$here/../../.venv/bin/python}
target=${ENCSERVE_BENCH:-$HOME/.cache/encserve-bench}/environments
[ "$*" ] || { echo "usage: $0 all | NAME...; one of: $(cd "$here" && ls ./*.txt | sed 's|./||; s|[.]txt||' | tr '\n' ' ')" >&2; exit 2; }
[ "$*" = all ] && set -- $(cd "$here" && ls ./*.txt | sed 's|./||; s|[.]txt||')
mkdir -p "$target"

build() {
    local folder=$target/$1 packages
    packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    rm -rf "$folder"
    "$python" -m venv "$folder"
    local own
    own=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    for part in torch torchgen functorch; do
        [ -d "$packages/$part" ] && { cp -al "$packages/$part" "$own/" 2>/dev/null || cp -a "$packages/$part" "$own/"; }
    done
    cp -a "$packages"/torch-*.dist-info "$own/"
    local install=("$folder/bin/python" -m pip install --quiet --disable-pip-version-check)
    "${install[@]}" -r "$here/$1.txt" || return
    if [ -f "$here/$1.over" ]; then
        "${install[@]}" --no-deps -r "$here/$1.over" || return
    fi
    "$folder/bin/python" -m pip freeze > "$folder/installed.txt"
}

status=0
for name in "$@"; do
    [ -f "$here/$name.txt" ] || { echo "no $here/$name.txt" >&2; exit 2; }
    # An environment that was made from these very files stays.
    wanted=$({ cat "$here/$name.txt"; cat "$here/$name.over" 2>/dev/null || true; } | sha256sum)
    [ "$(cat "$target/$name/made-from" 2>/dev/null)" = "$wanted" ] && continue
    echo "making $target/$name" >&2
    rm -f "$target/$name.failed"
    if ! build "$name" 2> "$target/$name.log"; then
        grep -v WARNING "$target/$name.log" | tail -n 3 > "$target/$name.failed"
        rm -rf "${target:?}/$name"
        echo "$name could not be made: $(tail -n 1 "$target/$name.failed")" >&2
        status=1
    else
        echo "$wanted" > "$target/$name/made-from"
    fi
done
exit $status
