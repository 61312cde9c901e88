# Images and a development shell from the same locks as `make`. Nix does not build images its own way:
# it fetches each locked file by hash and runs the same assembler over them, so the manifest digest is
# the one `make build` prints. No address stands here: fetchPypi and mirror:// know them.
{
  description = "Newsloom: fine-tuned news classifiers with an audit trail";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";

  outputs = { self, nixpkgs }:
    let
      system = "x86_64-linux";
      pkgs = nixpkgs.legacyPackages.${system};

      images = builtins.filter (name: builtins.pathExists (./images + "/${name}/image.lock"))
        (builtins.attrNames (builtins.readDir ./images));
      readToml = path: builtins.fromTOML (builtins.readFile path);

      # Nix's store allows no `~` in a name; the name is no part of a fixed output's hash.
      storeName = builtins.replaceStrings [ "~" ] [ "-" ];

      fetchDeb = row:
        pkgs.fetchurl {
          name = storeName (baseNameOf row.pool);
          urls = [ "mirror://debian/${row.pool}" "mirror://debian/../${row.archive}/${row.pool}" ];
          inherit (row) sha256;
        };

      # name-version[-build]-python-abi-platform.whl
      wheelParts = file:
        builtins.filter builtins.isString (builtins.split "-" (nixpkgs.lib.removeSuffix ".whl" file));

      fetchWheel = row:
        let
          parts = wheelParts row.file;
          count = builtins.length parts;
          part = builtins.elemAt parts;
        in
        if nixpkgs.lib.hasInfix "+" row.file then
        # A local version (torch's CPU build) is on no package index.
          pkgs.requireFile {
            name = row.file;
            inherit (row) sha256;
            message = "fetch ${row.file} with `imagelock fetch`, then: nix-store --add-fixed sha256 ${row.file}";
          }
        else
          pkgs.fetchPypi {
            pname = part 0;
            version = if count == 6 then "${part 1}-${part 2}" else part 1;
            format = "wheel";
            dist = part (count - 3);
            python = part (count - 3);
            abi = part (count - 2);
            platform = part (count - 1);
            inherit (row) sha256;
          };

      # What an image's bytes depend on: its folder and its packages' sources, nothing else of the tree.
      sourceOf = name: declaration:
        let
          common = if declaration ? extends then [ "images/${declaration.extends}.toml" ] else [ ];
          wanted = [ "images/${name}" ] ++ common ++ declaration.python.packages;
          root = toString self;
          isWanted = path:
            builtins.any
              (one: nixpkgs.lib.hasPrefix "${path}/" "${one}/" || nixpkgs.lib.hasPrefix "${one}/" "${path}/")
              wanted;
        in
        builtins.path {
          path = self.outPath;
          name = "newsloom-${name}-source";
          filter = path: _: isWanted (nixpkgs.lib.removePrefix "${root}/" path);
        };

      imagelock = builtins.path { path = self.outPath + "/packages/imagelock/src"; name = "imagelock-source"; };

      buildImage = name:
        let
          lock = readToml (./images + "/${name}/image.lock");
          declaration = readToml (./images + "/${name}/image.toml");
          files = map (row: { name = row.sha256; value = "${fetchDeb row}"; }) lock.debs
            ++ map (row: { name = row.sha256; value = "${fetchWheel row}"; }) lock.wheels;
        in
        pkgs.runCommand "${name}-image"
          {
            inputs = builtins.toJSON (builtins.listToAttrs files);
            passAsFile = [ "inputs" ];
          } ''
          cd "$TMPDIR"
          PYTHONPATH=${imagelock} ${pkgs.python311}/bin/python3 -B -m imagelock \
            --root ${sourceOf name declaration} build ${name} --inputs "$inputsPath" --save-to "$TMPDIR/image"
          cp -r "$TMPDIR/image" "$out"
        '';
    in
    {
      packages.${system} = builtins.listToAttrs
        (map (name: { inherit name; value = buildImage name; }) images);

      # A built image's blobs have the digests they are named by.
      checks.${system}.newsjudge = pkgs.runCommand "newsjudge-check" { } ''
        cd ${buildImage "newsjudge"}/blobs/sha256
        for blob in *; do echo "$blob  $blob"; done | sha256sum --check --quiet
        echo checked > "$out"
      '';

      devShells.${system}.default = pkgs.mkShell {
        packages = [
          pkgs.python311
          pkgs.uv
          pkgs.git
          pkgs.gnumake
          pkgs.openssl
          pkgs.skopeo
          pkgs.diffoscopeMinimal
        ];
      };
    };
}
