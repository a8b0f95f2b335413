{
  description = "Supply-chain verification for Nix: rebuild derivations independently and compare them with what binary caches claim";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      # Built and tested on the first; the others evaluate and are untested.
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      forEach = make: lib.genAttrs systems (system: make system nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEach (
        system: pkgs:
        {
          default = self.packages.${system}.verify;
          verify = pkgs.callPackage ./nix/package.nix { source = self; };
        }
        // lib.optionalAttrs (lib.hasSuffix "-linux" system) {
          static = pkgs.pkgsStatic.callPackage ./nix/package.nix { source = self; };
        }
      );

      apps = forEach (
        system: _: {
          default = self.apps.${system}.verify;
          verify = {
            type = "app";
            program = "${self.packages.${system}.verify}/bin/verify";
          };
        }
      );

      overlays.default = final: _: {
        nix-verify = final.callPackage ./nix/package.nix { source = self; };
      };

      nixosModules.default =
        { pkgs, lib, ... }:
        {
          imports = [ ./nix/module.nix ];
          services.verify-audit.package = lib.mkDefault self.packages.${pkgs.stdenv.hostPlatform.system}.verify;
        };

      devShells = forEach (
        system: pkgs: {
          default = pkgs.mkShell {
            inputsFrom = [ self.packages.${system}.verify ];
            packages = [
              pkgs.cargo-fuzz
              pkgs.clippy
              pkgs.nix
              pkgs.rust-analyzer
              pkgs.rustfmt
            ];
          };
        }
      );

      checks = forEach (
        system: pkgs: {
          inherit (self.packages.${system}) verify;
          format = pkgs.runCommand "verify-format" {
            nativeBuildInputs = [
              pkgs.cargo
              pkgs.rustfmt
            ];
          } "cd ${self} && cargo fmt --check && touch $out";
          # The tool on its own pins, in the sandbox: no network is needed.
          lock = pkgs.runCommand "verify-lock" {
            nativeBuildInputs = [ self.packages.${system}.verify ];
          } "verify lock ${self} --now @${toString (self.lastModified or 0)} > $out";
        }
      );
    };
}
