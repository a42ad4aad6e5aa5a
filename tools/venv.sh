#!/usr/bin/env bash
# Makes the virtual environment VENV with the requirements of the extras named, unless it is up to date.
# usage: tools/venv.sh VENV [extra...] [-- requirement...]
set -euo pipefail
here="$(cd "$(dirname "$0")/.." && pwd)"
venv="$1"; shift
extras=(); more=()
while [ $# -gt 0 ]; do
  if [ "$1" = "--" ]; then shift; more=("$@"); break; fi
  extras+=("$1"); shift
done
python="${PYTHON:-}"
if [ -z "$python" ]; then  # the newest that is there: a `python3` older than 3.10 is common
  for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then python="$name"; break; fi
  done
fi
[ -n "$python" ] || { echo "diptych needs Python 3.10 or newer; set PYTHON=/path/to/python3" >&2; exit 1; }

# The stamp holds what was asked for: equal text means nothing to do.
wanted="$("$python" "$here/tools/requirements.py" ${extras[@]+"${extras[@]}"}; printf '%s\n' ${more[@]+"${more[@]}"}; "$python" --version)"
if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$wanted" ]; then exit 0; fi
echo "setting up $venv"
if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then "$python" -m venv --clear "$venv"; fi
list="$("$python" "$here/tools/requirements.py" ${extras[@]+"${extras[@]}"}; printf '%s\n' ${more[@]+"${more[@]}"})"
printf '%s\n' "$list" > "$venv/.requirements.txt"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$venv/.requirements.txt"
printf '%s\n' "$wanted" > "$venv/.stamp"
