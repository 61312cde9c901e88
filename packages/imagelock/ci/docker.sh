#!/bin/sh
# Proves that the images run: builds them from a clean clone of HEAD, pushes them to a real registry on
# loopback, pulls them by a real Docker engine, compares digests, and runs train → predict → judge inside,
# as non-root, without a network, on a read-only root, and the mirror as a service with one.
# Needs docker, docker-registry, and either a running Docker daemon or root. Usage: docker.sh; IMAGELOCK_CACHE must hold the inputs (`imagelock fetch`).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(git -C "$here" rev-parse --show-toplevel)
for tool in docker docker-registry git; do
    command -v "$tool" > /dev/null || { echo "docker.sh: $tool is not installed: nothing was proven"; exit 3; }
done
python=${PYTHON:-python3}
scratch=$(mktemp -d)
registry_pid= docker_pid= pulled=
finish() {
    # The daemon may be the machine's own: only what was pulled here goes.
    for reference in $pulled; do docker image rm "$reference" > /dev/null 2>&1 || true; done
    [ -z "$registry_pid" ] || kill "$registry_pid" 2> /dev/null || true
    if [ -n "$docker_pid" ]; then kill "$docker_pid" && wait "$docker_pid" 2> /dev/null || true; fi
    rm -rf "$scratch"
}
trap finish EXIT INT TERM

if ! docker info > /dev/null 2>&1; then
    [ "$(id -u)" = 0 ] || { echo "docker.sh: no Docker daemon answers and only root can start one"; exit 3; }
    export DOCKER_HOST="unix://$scratch/docker.sock"
    dockerd --iptables=false --bridge=none --data-root "$scratch/docker" --exec-root "$scratch/exec" \
        --pidfile "$scratch/docker.pid" -H "$DOCKER_HOST" > "$scratch/docker.log" 2>&1 &
    docker_pid=$!
    for _ in 1 2 3 4 5 6 7 8 9 10; do docker info > /dev/null 2>&1 && break; sleep 2; done
fi

port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat > "$scratch/registry.yml" <<YML
version: 0.1
storage: {filesystem: {rootdirectory: $scratch/registry}}
http: {addr: "127.0.0.1:$port"}
YML
docker-registry serve "$scratch/registry.yml" > "$scratch/registry.log" 2>&1 &
registry_pid=$!

git clone -q --shared "$root" "$scratch/tree"
cd "$scratch/tree"
lock() { PYTHONPATH=packages/imagelock/src "$python" -m imagelock "$@"; }
lock build newstrain-cpu newsjudge lineage
lock push newstrain-cpu newsjudge lineage --registry "127.0.0.1:$port"
lock pins --registry "127.0.0.1:$port" --save-to "$scratch/pins.json" newstrain-cpu newsjudge lineage
pin() { "$python" -c "import json; print(json.load(open('$scratch/pins.json'))['$1']$2)"; }

for image in newstrain-cpu newsjudge lineage; do
    reference=$(pin $image "['image']")
    docker pull -q "$reference" > /dev/null
    pulled="$pulled $reference"
    id=$(docker image inspect --format '{{.Id}}' "$reference")
    config=$(pin $image "['annotations']['config-digest']")
    [ "$id" = "$config" ] || { echo "docker.sh: Docker says $id, imagelock says $config"; exit 1; }
    echo "docker.sh: $image pulled, its id is the config digest $id"
done
train=$(pin newstrain-cpu "['image']")
judge=$(pin newsjudge "['image']")

work="$scratch/work"
for step in data model predictions table judged; do mkdir -p "$work/$step"; done
chmod -R 0777 "$work"
run() { docker run --rm --network=none --read-only --tmpfs /tmp --cap-drop=ALL -v "$work:/job" "$@"; }

run "$train" /usr/bin/python3 -IBc '
import os, sys
from pathlib import Path
from newscore import Article, DataSet, Label, LabelSet, write_dataset
assert os.getuid() == 65532, os.getuid()
assert sys.flags.isolated and sys.flags.dont_write_bytecode
assert os.environ["HF_HUB_OFFLINE"] == "1"
labels = LabelSet((Label("space"), Label("cars")))
words = {"space": "orbit moon rocket launch", "cars": "engine wheel brake road"}
articles = tuple(
    Article(f"{label}-{n}", f"{text} story {n}", label) for label, text in words.items() for n in range(20)
)
for split in ("train", "test"):
    write_dataset(DataSet("tiny", split, labels, articles, {}), Path("/job/data", split))
'
run "$train" newstrain train --dataset /job/data/train --head tfidf-svm --min-articles 1 --save-to /job/model
run "$train" newstrain predict --model /job/model/model --dataset /job/data/test --save-to /job/predictions
run "$judge" newsjudge table --judge fake --labels /job/data/train --save-to /job/table
run "$judge" newsjudge score --predictions /job/predictions/predictions --table /job/table/table --save-to /job/judged
"$python" -c "
import json
found = json.load(open('$work/judged/metrics/metrics.json'))
print('docker.sh: judged inside Docker as uid 65532:', found['summary'])
"

if [ -x "$(dirname "$python")/knitlite" ]; then
    "$python" "$here/knitlite.py" "$scratch/pins.json" "$work"
    mkdir "$scratch/mirror"
    "$python" "$here/lineage.py" "$scratch/pins.json" "$scratch/mirror"
else
    echo "docker.sh: knitlite is not installed beside $python: its container runner and the mirror were not tried"
fi
