# The package, for callPackage. `source` is the tree with Cargo.toml in it.
{
  lib,
  rustPlatform,
  stdenv,
  installShellFiles,
  source,
}:
let
  manifest = (lib.importTOML ../Cargo.toml).package;
  runs = stdenv.buildPlatform.canExecute stdenv.hostPlatform;
in
rustPlatform.buildRustPackage {
  pname = manifest.name;
  inherit (manifest) version;
  src = source;
  cargoLock.lockFile = ../Cargo.lock;

  nativeBuildInputs = [ installShellFiles ];

  # Integration tests compare with real Nix as root; .ci/run does that.
  cargoTestFlags = [ "--lib" ];

  postInstall = lib.optionalString runs ''
    for shell in bash fish zsh; do
      $out/bin/verify completions "$shell" > "verify.$shell"
    done
    installShellCompletion --cmd verify --bash verify.bash --fish verify.fish --zsh verify.zsh
    mkdir manual
    $out/bin/verify man --output-dir manual
    installManPage manual/*
    mkdir -p $out/share/nix-verify
    cp -r policies $out/share/nix-verify/policies
  '';

  passthru.tested = stdenv.hostPlatform.system == "x86_64-linux";

  meta = {
    inherit (manifest) description;
    license = [
      lib.licenses.mit
      lib.licenses.asl20
    ];
    mainProgram = "verify";
    # Tested on x86_64-linux. Rebuilding needs Linux; the rest is untested elsewhere.
    platforms = lib.platforms.linux ++ lib.platforms.darwin;
  };
}
