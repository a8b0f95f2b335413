# A NixOS module: holds the running system against its caches on a timer.
#
#   services.verify-audit = {
#     enable = true;
#     contents = true;
#     sample = "5%";
#   };
{
  config,
  lib,
  utils,
  ...
}:
let
  cfg = config.services.verify-audit;
  inherit (lib) mkOption types;

  repeated = option: lib.concatMap (value: [ option value ]);
  arguments =
    [
      (lib.getExe cfg.package)
      "cache"
    ]
    ++ cfg.targets
    ++ [
      "--closure"
      "--local-store"
    ]
    ++ repeated "--cache" cfg.caches
    ++ repeated "--trusted-key" cfg.trustedKeys
    ++ lib.optionals (cfg.operatorsFile != null) [ "--operators" (toString cfg.operatorsFile) ]
    ++ lib.optionals (cfg.minAgree != null) [ "--min-agree" (toString cfg.minAgree) ]
    ++ lib.optional cfg.contents "--contents"
    ++ lib.optionals (cfg.sample != null) [ "--sample" cfg.sample ]
    ++ [
      "--fail-on"
      cfg.failOn
      "--format"
      "json"
      "--output"
      "/var/lib/verify-audit/report.json"
    ]
    ++ cfg.extraArguments;
in
{
  options.services.verify-audit = {
    enable = lib.mkEnableOption "auditing the running system against its binary caches";

    package = mkOption {
      type = types.package;
      description = "The package that provides verify.";
    };

    targets = mkOption {
      type = types.listOf types.str;
      default = [ "/run/current-system" ];
      description = "What is audited, with everything that it refers to.";
    };

    caches = mkOption {
      type = types.listOf types.str;
      default = config.nix.settings.substituters or [ ];
      description = "The caches that are asked.";
    };

    trustedKeys = mkOption {
      type = types.listOf types.str;
      default = config.nix.settings.trusted-public-keys or [ ];
      description = "The public keys whose signatures count.";
    };

    operatorsFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "Who runs which caches and keys (docs/operators.md).";
    };

    minAgree = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      description = "How many operators have to attest the same content.";
    };

    contents = mkOption {
      type = types.bool;
      default = false;
      description = "Whether bytes are read too, of the caches and of this store.";
    };

    sample = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "5%";
      description = "How many of them, drawn anew at each boot; all if null.";
    };

    failOn = mkOption {
      type = types.enum [
        "note"
        "warning"
        "error"
      ];
      default = "error";
      description = "The least level of a finding that fails the unit.";
    };

    extraArguments = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Further arguments of verify cache.";
    };

    dates = mkOption {
      type = types.str;
      default = "daily";
      description = "When it runs, as systemd.time(7) has it.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.sample == null || cfg.contents;
        message = "services.verify-audit.sample is about contents: set contents = true";
      }
      {
        assertion = cfg.minAgree == null || cfg.operatorsFile != null;
        message = "services.verify-audit.minAgree counts operators: set operatorsFile";
      }
    ];

    systemd.services.verify-audit = {
      description = "Audit of the running system against its binary caches";
      documentation = [ "man:verify-cache(1)" ];
      after = [ "network-online.target" ];
      wants = [ "network-online.target" ];
      serviceConfig = {
        Type = "oneshot";
        # systemd puts the boot's id in place of %b.
        ExecStart =
          utils.escapeSystemdExecArgs arguments + lib.optionalString (cfg.sample != null) " --seed %b";
        StateDirectory = "verify-audit";
        StateDirectoryMode = "0755";
        DynamicUser = true;
        CapabilityBoundingSet = "";
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateTmp = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectSystem = "strict";
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
          "AF_UNIX"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        UMask = "0022";
      };
    };

    systemd.timers.verify-audit = {
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnCalendar = cfg.dates;
        Persistent = true;
        RandomizedDelaySec = "1h";
      };
    };
  };
}
