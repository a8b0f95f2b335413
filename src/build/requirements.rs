//! Whether this machine and this sandbox can build a derivation at all.
//!
//! What is not supported is never tried in some other way: the caller gets
//! the reason and answers *inconclusive*.

use crate::nix::derivation::options::{CA_DERIVATIONS, Options};
use crate::nix::derivation::{Derivation, Kind};
use crate::nix::store_path::StoreDir;

use super::builtin::Builtin;
use super::job::BuildJob;
use super::outcome::FailureReason;

/// Features every Linux machine has by default (`system-features`).
const FEATURES: [&str; 3] = ["nixos-test", "benchmark", "big-parallel"];

/// The feature of machines with usable hardware virtualisation.
const KVM: &str = "kvm";

/// What is known about this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Platforms whose programs run here, its own first.
    pub platforms: Vec<String>,
    /// Whether `/dev/kvm` can be used.
    pub kvm: bool,
}

impl Machine {
    /// This machine.
    #[must_use]
    pub fn here() -> Self {
        use rustix::fs::{Access, access};
        let own = format!("{}-linux", std::env::consts::ARCH);
        let mut platforms = vec![own];
        platforms.extend(extra_platforms().into_iter().map(str::to_owned));
        let kvm = access("/dev/kvm", Access::READ_OK | Access::WRITE_OK).is_ok();
        Self { platforms, kvm }
    }
}

/// The platforms that Nix adds to its own by default (`extra-platforms`).
#[cfg(target_arch = "x86_64")]
fn extra_platforms() -> Vec<&'static str> {
    use std::arch::is_x86_feature_detected as has;
    let mut platforms = vec!["i686-linux", "x86_64-v1-linux"];
    let second = has!("cmpxchg16b") && has!("popcnt") && has!("sse4.2") && has!("ssse3");
    let third = second
        && has!("avx2")
        && has!("bmi1")
        && has!("bmi2")
        && has!("f16c")
        && has!("fma")
        && has!("lzcnt")
        && has!("movbe");
    let fourth = third
        && has!("avx512f")
        && has!("avx512bw")
        && has!("avx512cd")
        && has!("avx512dq")
        && has!("avx512vl");
    for (level, held) in
        [("x86_64-v2-linux", second), ("x86_64-v3-linux", third), ("x86_64-v4-linux", fourth)]
    {
        if held {
            platforms.push(level);
        }
    }
    platforms
}

#[cfg(not(target_arch = "x86_64"))]
const fn extra_platforms() -> Vec<&'static str> {
    Vec::new()
}

/// Why the job cannot be built on `machine`, if it cannot.
#[must_use]
pub fn obstacle(job: &BuildJob, options: &Options, machine: &Machine) -> Option<String> {
    if job.derivation.kind() == Kind::Deferred {
        return Some("its output paths wait for inputs that are not resolved".to_owned());
    }
    of_derivation(&job.derivation, machine).or_else(|| of_options(options, machine))
}

/// Why a derivation will not be built on `machine`, as far as it says so itself
/// before its inputs are known.
#[must_use]
pub fn foreseen(
    derivation: &Derivation,
    store_dir: &StoreDir,
    machine: &Machine,
) -> Option<FailureReason> {
    if let Some(why) = of_derivation(derivation, machine) {
        return Some(FailureReason::Unsupported(why));
    }
    if let Some(Err(unknown)) = Builtin::of(&derivation.builder) {
        return Some(FailureReason::BadDerivation(unknown.to_string()));
    }
    match Options::of(derivation, store_dir) {
        Ok(options) => of_options(&options, machine).map(FailureReason::Unsupported),
        // What stands for the path of an input that only a build can tell is no
        // store path yet.
        Err(_) if derivation.needs_resolving() => None,
        Err(error) => Some(FailureReason::BadDerivation(error.to_string())),
    }
}

fn of_derivation(derivation: &Derivation, machine: &Machine) -> Option<String> {
    let platform = String::from_utf8_lossy(&derivation.platform);
    if !derivation.is_builtin() && !machine.platforms.iter().any(|known| *known == platform) {
        let known = machine.platforms.join(", ");
        return Some(format!("the platform is '{platform}' (this machine runs {known})"));
    }
    if derivation.kind() == Kind::Impure {
        return Some("an impure derivation is never the same twice".to_owned());
    }
    if let Some(Ok(builtin)) = Builtin::of(&derivation.builder)
        && !builtin.runs_in_sandbox()
    {
        return Some(
            "its file is fetched by this program, not built (builtin:fetchurl)".to_owned(),
        );
    }
    None
}

fn of_options(options: &Options, machine: &Machine) -> Option<String> {
    if options.no_chroot {
        return Some("it asks to be built outside a sandbox (__noChroot)".to_owned());
    }
    if let Some(path) = options.impure_host_deps.first() {
        return Some(format!("it asks for '{path}' of the host (__impureHostDeps)"));
    }
    let missing = options.required_system_features.iter().find(|feature| {
        let feature = feature.as_str();
        !(FEATURES.contains(&feature)
            || feature == CA_DERIVATIONS
            || (feature == KVM && machine.kvm))
    })?;
    Some(match missing.as_str() {
        KVM => "it needs the feature 'kvm', and /dev/kvm cannot be used here".to_owned(),
        "uid-range" => "it needs 65536 user ids of its own (uid-range)".to_owned(),
        "recursive-nix" => "it calls Nix while it builds (recursive-nix)".to_owned(),
        other => format!("it needs the feature '{other}', which this machine does not have"),
    })
}
