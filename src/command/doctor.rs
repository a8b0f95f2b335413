//! `verify doctor`: what works on this machine, and how to mend what does not.

use std::num::NonZeroUsize;

use super::cli::DoctorArgs;
use super::rebuild::{BuildSettings, Trial, nonce};
use super::sources::Sources;
use super::{Environment, ToolError};
use crate::build::cgroup::Groups;
use crate::build::limits::Spare;
use crate::build::requirements::Machine;
use crate::build::{Limits, SandboxExecutor, World};
use crate::check::Reason;
use crate::check::doctor::{Health, Part, examine};
use crate::check::rebuild;
use crate::gather::derivations::evaluate::Evaluator;
use crate::gather::shell::{self, Shell};
use crate::nix::store_path::StoreDir;
use crate::report::{Report, doctor as render};
use crate::state::StateDir;
use crate::sys::namespace::{RootKind, enter_private_root};

/// Platforms whose system calls the sandbox knows.
const PLATFORMS: [&str; 2] = ["x86_64-linux", "aarch64-linux"];

/// Free disk below which a build of any size fails, in bytes.
pub const LITTLE_DISK: u64 = 2 << 30;

/// Looks at the machine.
///
/// # Errors
/// An option that makes no sense.
pub fn run(args: &DoctorArgs, environment: &Environment) -> Result<Report, ToolError> {
    let store_dir = StoreDir::default();
    // Before any thread is started.
    let root = enter_private_root();
    let sources = Sources::open(&args.sources, &args.keys, environment, &store_dir)?;
    let path = args.work.state_path(environment)?;
    let mut parts = vec![platform()];
    let root = match root {
        Ok(kind) => {
            parts.push(user(kind));
            Some(kind)
        }
        Err(error) => {
            let part = Part::new("namespaces", Health::Lacking, error.to_string());
            parts.push(part.mended_by(
                "allow user namespaces for ordinary users (the error names the setting), or run as root",
            ));
            None
        }
    };
    let store = sources.local.as_ref().map(|local| local.root().join("nix/store"));
    let shell = shell::find(store.as_deref(), std::iter::empty());
    parts.push(process_limit(root));
    parts.push(shell_part(shell.as_ref()));
    let state = StateDir::open(&path);
    match &state {
        Ok(state) => parts.push(disk(state, environment)),
        Err(error) => {
            let part = Part::new("state directory", Health::Lacking, chain(error));
            parts.push(part.mended_by("name a directory that you may write to with --state-dir"));
        }
    }
    if let (Ok(state), Some(_)) = (&state, root) {
        parts.push(canary(state, &sources, shell.as_ref(), environment, &store_dir));
    }
    parts.push(nix(environment, &store_dir));
    parts.extend(caches(args, &sources));
    parts.push(keys(&sources));
    Ok(Report::from(examine(&parts)).with_view(render::view(&parts)))
}

fn platform() -> Part {
    let machine = Machine::here();
    let own = machine.platforms.first().cloned().unwrap_or_default();
    if PLATFORMS.contains(&own.as_str()) {
        let kvm = if machine.kvm { ", with kvm" } else { "" };
        let others = machine.platforms.iter().skip(1).map(String::as_str);
        let others: Vec<&str> = others.collect();
        let more = if others.is_empty() {
            String::new()
        } else {
            format!(" (also {})", others.join(", "))
        };
        return Part::new("platform", Health::Works, format!("{own}{more}{kvm}"));
    }
    Part::new("platform", Health::Lacking, format!("the sandbox does not know {own}")).mended_by(
        format!("rebuild on one of {}; the other commands work here", PLATFORMS.join(", ")),
    )
}

fn user(kind: RootKind) -> Part {
    let (health, found) = match kind {
        RootKind::HostRoot => (Health::Works, "root"),
        RootKind::SubIds => (Health::Works, "an ordinary user with subordinate ids"),
        RootKind::SingleId => (
            Health::Limited,
            "an ordinary user without subordinate ids: inputs belong to the builder itself, and are mounted read-only instead",
        ),
    };
    let part = Part::new("namespaces", health, found);
    match kind {
        RootKind::SingleId => part.mended_by(
            "install the package uidmap and give the user a range in /etc/subuid and /etc/subgid \
             (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER)",
        ),
        _ => part,
    }
}

fn process_limit(root: Option<RootKind>) -> Part {
    match Groups::find() {
        Some(groups) => {
            let memory = if groups.limit_memory() { "processes and memory" } else { "processes" };
            Part::new("limits", Health::Works, format!("a control group limits {memory}"))
        }
        None => {
            let found = "no control group can be made: processes are limited by RLIMIT_NPROC, memory and disk are watched";
            let part = Part::new("limits", Health::Limited, found);
            match root {
                Some(RootKind::HostRoot) => part.mended_by("mount cgroup2 at /sys/fs/cgroup"),
                _ => part.mended_by("have a control group delegated: systemd-run --user --scope -p Delegate=yes verify ..."),
            }
        }
    }
}

fn shell_part(shell: Option<&Shell>) -> Part {
    match shell {
        Some(shell) => {
            let facts = &shell.facts;
            Part::new(
                "shell",
                Health::Works,
                format!("{} ({})", shell.path.display(), facts.origin),
            )
        }
        None => Part::new("shell", Health::Limited, "no static shell for /bin/sh in the sandbox")
            .mended_by("install busybox-static, or name one with --shell; inputs often bring one"),
    }
}

fn disk(state: &StateDir, environment: &Environment) -> Part {
    let place = super::deliver::show(state.root());
    match Spare::here(state.root(), environment.parallelism).disk {
        Some(bytes) if bytes < LITTLE_DISK => {
            let found = format!("{place}: {} MiB can be used", bytes >> 20);
            Part::new("state directory", Health::Limited, found)
                .mended_by("make room, run 'verify clean', or name another disk with --state-dir")
        }
        Some(bytes) => {
            let found = format!("{place}: {} GiB can be used", bytes >> 30);
            Part::new("state directory", Health::Works, found)
        }
        None => Part::new("state directory", Health::Works, place),
    }
}

/// Builds what is always the same and what never is, and sees whether the
/// difference is seen.
fn canary(
    state: &StateDir,
    sources: &Sources,
    shell: Option<&Shell>,
    environment: &Environment,
    store_dir: &StoreDir,
) -> Part {
    const NAME: &str = "canary";
    let executor = match SandboxExecutor::new(state, super::rebuild::SELF.into()) {
        Ok(executor) => executor,
        Err(error) => return Part::new(NAME, Health::Lacking, chain(&error)),
    };
    let settings = BuildSettings {
        world: World::newest(),
        cores: 1,
        limits: Limits::default(),
        shell: shell.map(|shell| shell.path.clone()),
        network: false,
        keep_failed: false,
        hardened: false,
        rounds: 1,
        jobs: NonZeroUsize::MIN,
    };
    let tried = Trial {
        executor: &executor,
        settings: &settings,
        client: &sources.client,
        judge: &|facts| rebuild::examine(facts, store_dir, false),
        state,
        store_dir,
        nonce: nonce(environment),
    }
    .run();
    match tried.failure() {
        None => {
            let found = "a sandboxed build came out as it should, and a difference was seen";
            Part::new(NAME, Health::Works, found)
        }
        Some(why) => Part::new(NAME, Health::Lacking, why)
            .mended_by("mend what is named above it; else report it as a bug with this output"),
    }
}

fn nix(environment: &Environment, store_dir: &StoreDir) -> Part {
    let path = environment.variable("PATH");
    let evaluator = Evaluator::new(path, &environment.directory, store_dir);
    match evaluator.find("nix-store") {
        Some(program) => Part::new("Nix", Health::Works, super::deliver::show(&program)),
        None => Part::new(
            "Nix",
            Health::NotAsked,
            "there is none, and none is needed but for installables, attributes and --executor nix",
        ),
    }
}

fn caches(args: &DoctorArgs, sources: &Sources) -> Vec<Part> {
    let ask = |cache: &crate::gather::cache::answers::AskedCache| {
        let name = format!("cache {}", cache.url);
        if args.sources.offline {
            return Part::new(name, Health::NotAsked, "--offline");
        }
        match sources.client.cache_info(&cache.url) {
            Ok(_) => Part::new(name, Health::Works, "answers, for this store directory"),
            Err(error) if cache.named => {
                Part::new(name, Health::Unknown(Reason::Unreachable), chain(&error))
            }
            Err(error) => Part::new(name, Health::Limited, chain(&error)).mended_by(
                "name a cache that can be reached with --cache, and proxies by https_proxy",
            ),
        }
    };
    sources.caches.iter().map(ask).collect()
}

fn keys(sources: &Sources) -> Part {
    let names: Vec<String> = sources.keys.iter().map(|key| key.name().to_string()).collect();
    if names.is_empty() {
        return Part::new(
            "keys",
            Health::Limited,
            "no signature counts: without a trusted key nothing is reproduced",
        )
        .mended_by("name the keys of the caches with --trusted-key or --trusted-keys-file");
    }
    Part::new("keys", Health::Works, names.join(", "))
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let trouble = crate::report::Trouble::from_error(error);
    trouble.causes.iter().fold(trouble.message, |text, cause| text + ": " + cause)
}
