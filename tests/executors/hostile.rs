//! Hostile builders and what is said of them: each its verdict, nothing alive a
//! second later, nothing left in the state directory, the host as it was.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use super::users::user_with_subordinate_ids;
use super::workshop::{Made, NOBODY, ROOT, User, Workshop};

/// How long anything of a build may be seen after it.
const SOON: Duration = Duration::from_secs(1);

struct Case {
    made: Made,
    options: &'static [&'static str],
    code: i32,
    status: &'static str,
}

/// What an honest builder makes, and what is claimed.
const HONEST: &str = "mkdir $out; echo made > $out/file";

fn cases(workshop: &Workshop) -> Vec<(&'static str, Case)> {
    let tools = format!("/nix/store/{}", workshop.tools);
    let attack = |name, arguments: &[&str], options, code, status| {
        (name, Case { made: workshop.attack(name, arguments), options, code, status })
    };
    let script = |name, script: &str, options, code, status| {
        (name, Case { made: workshop.script(name, script), options, code, status })
    };
    let program = |name, builder: &str, arguments: &[&str], code, status| {
        let made = workshop.make(name, builder, arguments, |_| ());
        (name, Case { made, options: &[], code, status })
    };
    let busybox = format!("{tools}/bin/busybox");
    let damaged = ["damage", &busybox, &tools, "/bin/sh", "/proc/1/exe"];
    vec![
        attack("fork-bomb", &["bomb"], &["--max-processes", "60"], 3, "limit-reached"),
        attack("memory-hog", &["hog", "own"], &["--max-memory", "64M"], 3, "limit-reached"),
        attack("disk-filler", &["fill", "one"], &["--max-disk", "32M"], 3, "limit-reached"),
        attack("file-maker", &["fill", "many", "/tmp"], &["--max-disk", "32M"], 3, "limit-reached"),
        script("endless-log", "yes", &["--max-log-size", "100000"], 3, "limit-reached"),
        script("sleeper", "sleep 1000", &["--timeout", "1"], 3, "limit-reached"),
        script(
            "silent",
            "trap '' TERM INT HUP; while :; do sleep 9; done",
            &["--max-silent-time", "1"],
            3,
            "limit-reached",
        ),
        script("sparse", "truncate -s 8796093022208 $out", &["--timeout", "2"], 3, "limit-reached"),
        script("early-close", "exec >&- 2>&-; sleep 1000; echo > $out", &[], 3, "build-failed"),
        script("nothing", "exit 0", &[], 3, "build-failed"),
        script("writable-output", &format!("{HONEST}; chmod 777 $out"), &[], 3, "build-failed"),
        script("link-to-shadow", "ln -s /etc/shadow $out", &[], 1, "differs"),
        script("hard-link", &format!("ln {busybox} $out"), &[], 3, "build-failed"),
        script(
            "writes-outside",
            &format!(
                "for f in {tools}/x /x /etc/x /etc/passwd /bin/sh; do echo x > $f; done; \
                 mv /nix/store /nix/x; rm -rf {tools}/bin/ls /etc/passwd; {HONEST}"
            ),
            &[],
            0,
            "reproduced",
        ),
        script(
            "swaps-directories",
            &format!("rmdir /build; ln -s /etc /build; mv /tmp /t; ln -s /etc /tmp; {HONEST}"),
            &[],
            0,
            "reproduced",
        ),
        program("own-program", "/proc/self/exe", &["--version"], 3, "build-failed"),
        program("unknown-builtin", "builtin:download", &[], 3, "build-failed"),
        attack("daemon", &["daemon"], &[], 1, "differs"),
        attack("network", &["network", "80"], &[], 0, "reproduced"),
        attack("abstract-socket", &["abstract", "verify-hostile"], &[], 0, "reproduced"),
        attack("setuid", &["setids", "0"], &[], 1, "differs"),
        attack("devices", &["devices"], &[], 0, "reproduced"),
        attack("fifo", &["fifo"], &[], 3, "build-failed"),
        attack("socket", &["socket"], &[], 3, "build-failed"),
        attack("damage", &damaged, &[], 0, "reproduced"),
        attack("nested", &["nested", "/bin/sh", &busybox], &[], 0, "reproduced"),
        attack("proc", &["proc", "/root"], &[], 0, "reproduced"),
        attack("descriptors", &["descriptors"], &[], 0, "reproduced"),
        attack("keys", &["keys"], &[], 0, "reproduced"),
        attack("attributes", &["attributes"], &[], 0, "reproduced"),
        attack("depth", &["deep", "65"], &[], 3, "build-failed"),
        attack("odd-names", &["names"], &[], 1, "differs"),
        attack("abyss", &["abyss", "1000"], &[], 0, "reproduced"),
        attack("control-groups", &["groups"], &[], 0, "reproduced"),
        attack("tight", &["hardened"], &["--hardened"], 1, "differs"),
    ]
}

/// What lies outside and within reach of whoever gets out.
fn fingerprint() -> BTreeMap<String, String> {
    let watched = ["/", "/etc", "/etc/passwd", "/etc/shadow", "/etc/hosts", "/bin", "/bin/busybox"];
    let mut found: BTreeMap<String, String> = watched
        .into_iter()
        .map(|path| {
            let stat = std::fs::metadata(path).unwrap();
            let facts = format!("{:o} {} {} {}", stat.mode(), stat.uid(), stat.gid(), stat.mtime());
            (path.to_owned(), facts)
        })
        .collect();
    for name in ["hostname", "core_pattern"] {
        let setting = std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap();
        found.insert(name.to_owned(), setting);
    }
    found
}

/// Processes that were given that output to make.
fn alive(made: &Made) -> Vec<String> {
    let mark = made.out().hash_part().into_bytes();
    let has_mark = |file: String| {
        let bytes = std::fs::read(file).unwrap_or_default();
        bytes.windows(mark.len()).any(|window| window == mark)
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    processes
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|process| has_mark(format!("/proc/{process}/environ")))
        .collect()
}

fn attack_as(workshop: &Workshop, user: User) {
    let before = fingerprint();
    let honest = workshop.path().join("honest");
    std::fs::create_dir_all(&honest).unwrap();
    std::fs::write(honest.join("file"), "made\n").unwrap();
    for (name, case) in cases(workshop) {
        workshop.claim(case.made.out(), &honest);
        let options = [case.options, &["--jobs", "1"]].concat();
        let outcome = workshop.rebuild(user, &case.made, &options);
        let ended = Instant::now();
        let found = (outcome.code, outcome.status());
        let why = format!("{name} as {user:?}: {:#}\n{}", outcome.report, outcome.stderr);
        assert_eq!(found, (case.code, case.status), "{why}");
        while !alive(&case.made).is_empty() {
            assert!(ended.elapsed() < SOON, "{name} as {user:?}: {:?} live", alive(&case.made));
            std::thread::sleep(Duration::from_millis(5));
        }
        if name != "endless-log" {
            assert!(!outcome.log().contains("ESCAPED"), "{why}\n{}", outcome.log());
        }
        let builds = workshop.state(user).join("s/builds");
        assert_eq!(std::fs::read_dir(builds).unwrap().count(), 0, "{why}");
        assert_eq!(outcome.report.pointer("/facts/canary/holds"), Some(&true.into()), "{why}");
    }
    assert_eq!(fingerprint(), before);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(workshop.path().to_str().unwrap()), "{mounts}");
}

#[test]
fn every_hostile_builder_gets_its_verdict_as_root() {
    let Some(workshop) = Workshop::new().filter(Workshop::has_attacks) else { return };
    attack_as(&workshop, ROOT);
}

#[test]
fn every_hostile_builder_gets_its_verdict_as_an_ordinary_user() {
    let Some(workshop) = Workshop::new().filter(Workshop::has_attacks) else { return };
    attack_as(&workshop, NOBODY);
}

#[test]
fn every_hostile_builder_gets_its_verdict_as_a_user_with_subordinate_ids() {
    let Some(workshop) = Workshop::new().filter(Workshop::has_attacks) else { return };
    match user_with_subordinate_ids().map(|(uid, gid)| User { uid, gid }) {
        Some(user) => attack_as(&workshop, user),
        None => eprintln!("skipped: no user in /etc/subuid, or no newuidmap"),
    }
}
