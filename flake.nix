{
  description = "Supply-chain verification for Nix: rebuild derivations independently and compare them with what binary caches claim";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      # The sandbox knows the system calls of these two.
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEach = make: lib.genAttrs systems (system: make system nixpkgs.legacyPackages.${system});
      manifest = (lib.importTOML ./Cargo.toml).package;
    in
    {
      packages = forEach (_: pkgs: rec {
        default = verify;
        verify = pkgs.rustPlatform.buildRustPackage {
          pname = manifest.name;
          inherit (manifest) version;
          src = self;
          cargoLock.lockFile = ./Cargo.lock;
          # Integration tests compare with real Nix as root; .ci/run does that.
          cargoTestFlags = [ "--lib" ];
          meta = {
            inherit (manifest) description;
            license = [
              lib.licenses.mit
              lib.licenses.asl20
            ];
            mainProgram = "verify";
            platforms = systems;
          };
        };
      });

      apps = forEach (system: _: rec {
        default = verify;
        verify = {
          type = "app";
          program = "${self.packages.${system}.verify}/bin/verify";
        };
      });

      devShells = forEach (system: pkgs: {
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
      });

      checks = forEach (system: pkgs: {
        inherit (self.packages.${system}) verify;
        format = pkgs.runCommand "verify-format" { nativeBuildInputs = [ pkgs.cargo pkgs.rustfmt ]; } ''
          cd ${self}
          cargo fmt --check
          touch $out
        '';
      });
    };
}
