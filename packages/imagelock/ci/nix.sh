#!/bin/sh
# Proves that `nix build .#<image>` and `imagelock build` give one manifest digest, with Debian's nix
# (packages nix-bin and git) and the stand-in for nixpkgs beside this file. Works on a clean clone of
# HEAD. Usage: nix.sh [image …]; IMAGELOCK_CACHE must hold the images' inputs (`imagelock fetch`).
# With NIXPKGS=real it uses the pinned nixpkgs instead, which needs a network.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(git -C "$here" rev-parse --show-toplevel)
command -v nix > /dev/null || { echo "nix.sh: nix is not installed (Debian: nix-bin): nothing was proven"; exit 3; }
export IMAGELOCK_CACHE="${IMAGELOCK_CACHE:-$HOME/.cache/imagelock}"
python=${PYTHON:-python3}
[ $# -gt 0 ] || set -- newsjudge

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT INT TERM
git clone -q --shared "$root" "$scratch/tree"
cd "$scratch/tree"

flags="--extra-experimental-features nix-command --extra-experimental-features flakes --no-write-lock-file"
if [ "${NIXPKGS:-stand-in}" != real ]; then
    flags="$flags --impure --option substitute false --override-input nixpkgs path:$scratch/tree/packages/imagelock/ci/nixpkgs"
fi
run_nix() { nix "$@" $flags --option build-users-group '' --option sandbox false; }

for image in "$@"; do
    run_nix build ".#$image" -o "$scratch/by-nix-$image"
    PYTHONPATH=packages/imagelock/src "$python" -m imagelock --builds "$scratch/by-make" build "$image" --offline
    PYTHONPATH=packages/imagelock/src "$python" - "$scratch/by-nix-$image" "$scratch/by-make/$image" <<'PY'
import sys
from pathlib import Path

from imagelock.layout import Layout, verify_layout

by_nix, by_make = (Layout(Path(name)) for name in sys.argv[1:])
verify_layout(by_nix)
if by_nix.manifest_digest() != by_make.manifest_digest():
    sys.exit(f"nix.sh: DIFFERENT: nix {by_nix.manifest_digest()} make {by_make.manifest_digest()}")
print(f"nix.sh: {by_make.path.name}: both sha256:{by_nix.manifest_digest()}")
PY
done
run_nix flake check
echo "nix.sh: flake check passed"
