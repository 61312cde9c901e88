# A stand-in for nixpkgs with just the attributes that the repository's flake uses, for machines that
# cannot reach nixpkgs. Files still come by hash, as fixed-output derivations, but out of the local
# cache (IMAGELOCK_CACHE, so it needs --impure), and the interpreter is this machine's /usr/bin/python3.
{
  outputs = { self }:
    let
      cache = builtins.getEnv "IMAGELOCK_CACHE";

      fetchurl = { sha256, name, ... }: derivation {
        inherit name;
        system = "builtin";
        builder = "builtin:fetchurl";
        url = "file://${cache}/inputs/${sha256}";
        outputHash = sha256;
        outputHashAlgo = "sha256";
        outputHashMode = "flat";
        executable = false;
        unpack = false;
        preferLocalBuild = true;
      };

      runCommand = name: attributes: script: derivation (attributes // {
        inherit name;
        system = "x86_64-linux";
        builder = "/bin/sh";
        args = [ "-e" "-c" script ];
        PATH = "/usr/bin:/bin";
      });

      tool = name: runCommand name { } "echo ${name} > $out";
    in
    {
      lib = {
        hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
        hasInfix = infix: text: builtins.length (builtins.split (if infix == "+" then "[+]" else infix) text) > 1;
        removePrefix = prefix: text:
          if self.lib.hasPrefix prefix text then
            builtins.substring (builtins.stringLength prefix) (-1) text
          else text;
        removeSuffix = suffix: text:
          let
            keep = builtins.stringLength text - builtins.stringLength suffix;
          in
          if keep >= 0 && builtins.substring keep (-1) text == suffix then builtins.substring 0 keep text else text;
      };
      legacyPackages.x86_64-linux = {
        inherit fetchurl runCommand;
        fetchPypi = { pname, version, sha256, python, abi, platform, ... }:
          fetchurl { name = "${pname}-${version}-${python}-${abi}-${platform}.whl"; inherit sha256; };
        requireFile = { name, sha256, ... }: fetchurl { inherit name sha256; };
        python311 = "/usr";
        mkShell = { packages }: runCommand "shell" { inherit packages; } "echo $packages > $out";
        uv = tool "uv";
        git = tool "git";
        gnumake = tool "gnumake";
        openssl = tool "openssl";
        skopeo = tool "skopeo";
        diffoscopeMinimal = tool "diffoscopeMinimal";
      };
    };
}
