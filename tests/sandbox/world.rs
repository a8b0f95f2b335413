//! What builders see (builder.md sections 2 to 4).

use std::collections::BTreeMap;

use nix_verify::build::World;

use super::harness::Place;

/// What `script` prints in the world of that name.
fn seen(world: &str, script: &str) -> Option<String> {
    let place = Place::new()?;
    let mut job = place.job(&format!("{script}\necho > $out"));
    job.world = World::by_name(world).unwrap();
    Some(place.built(&job).1)
}

#[test]
fn the_environment_is_exactly_this() {
    let Some(place) = Place::new() else { return };
    let mut job = place.job("env; echo $0; echo > $out");
    for (name, value) in [
        ("HOME", "/mine"),
        ("TERM", "dumb"),
        ("TMP", "/elsewhere"),
        ("NIX_LOG_FD", "7"),
        ("NIX_STORE", "/x"),
        ("empty", ""),
    ] {
        job.derivation.env.insert(name.into(), value.into());
    }
    let (_, log) = place.built(&job);
    let (mut found, zero): (Vec<_>, Vec<_>) = log.lines().partition(|line| line.contains('='));
    found.sort_unstable();
    assert_eq!(zero, ["sh"]);
    let tools = format!("PATH=/nix/store/{}/bin", super::harness::TOOLS);
    let out = "out=/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-test";
    // SHLVL is the shell's own.
    let expected = [
        "HOME=/mine",
        "NIX_BUILD_CORES=1",
        "NIX_BUILD_TOP=/build",
        "NIX_LOG_FD=2",
        "NIX_STORE=/x",
        &tools,
        "PWD=/build",
        "SHLVL=1",
        "TEMP=/build",
        "TEMPDIR=/build",
        "TERM=xterm-256color",
        "TMP=/build",
        "TMPDIR=/build",
        "empty=",
        "name=test",
        out,
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_root_holds_nothing_else() {
    let script = "stat -c '%n %a %u %g %h' / /* /etc/* /nix/* /dev/* /dev/pts/*; cat /etc/*; cat /proc/mounts";
    for (world, etc) in [("nix-2.8", "755"), ("nix-2.35", "555")] {
        let Some(log) = seen(world, script) else { return };
        let stat: Vec<&str> = log.lines().filter(|line| line.starts_with('/')).collect();
        let etc = format!("/etc {etc} 65534 65534 2");
        for wanted in [
            "/ 750 65534 100 8",
            "/build 700 1000 100 2",
            "/tmp 1777 65534 65534 2",
            &etc,
            "/etc/group 644 65534 65534 1",
            "/nix/store 1775 65534 100 3",
            "/dev/null 666 65534 65534 1",
            "/dev/ptmx 777 65534 65534 1",
            "/dev/shm 1777 65534 65534 2",
            "/dev/pts/ptmx 666 65534 65534 1",
        ] {
            assert!(stat.contains(&wanted), "{wanted}:\n{log}");
        }
        let top: Vec<&str> = stat
            .iter()
            .filter_map(|line| line.split(' ').next())
            .filter(|name| name.matches('/').count() == 1 && name.len() > 1)
            .filter(|name| !name.starts_with("/dev/"))
            .collect();
        assert_eq!(top[..6], ["/build", "/dev", "/etc", "/nix", "/proc", "/tmp"], "{log}");
        assert!(log.contains("nixbld:x:1000:100:Nix build user:/build:/noshell\n"));
        assert!(log.contains("nixbld:!:100:\n"));
        assert!(log.contains("127.0.0.1 localhost\n::1 localhost\n"));
        let mounts: Vec<&str> = log
            .lines()
            .filter(|line| line.contains(" rw,"))
            .filter_map(|line| line.split(' ').nth(1))
            .filter(|target| *target != "/dev/kvm")
            .collect();
        let tools = format!("/nix/store/{}", super::harness::TOOLS);
        let expected = [
            "/",
            "/nix/store",
            &tools,
            "/build",
            "/dev/full",
            "/dev/null",
            "/dev/random",
            "/dev/tty",
            "/dev/urandom",
            "/dev/zero",
            "/proc",
            "/dev/shm",
            "/dev/pts",
        ];
        assert_eq!(mounts, expected);
    }
}

#[test]
fn the_process_is_like_under_nix() {
    let script = "cat /proc/1/status /proc/1/personality; cat /proc/1/limits; id; uname -nm; \
        tty; stty size <&1; test -t 0 || echo no0; test -t 1 && echo is1; test -t 2 && echo is2; \
        umask; ls /proc/1/fd; readlink /proc/1/fd/0; readlink /proc/1/cwd; cat /proc/1/cmdline | tr '\\0' '|'; \
        cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; \
        cat /proc/sys/kernel/domainname; cut -d' ' -f 4-8 /proc/1/stat; (echo > /dev/tty) 2>&1";
    let Some(log) = seen("nix-2.8", script) else { return };
    for line in [
        "Uid:\t1000\t1000\t1000\t1000",
        "Gid:\t100\t100\t100\t100",
        "Groups:\t ",
        "NSpid:\t1",
        "NSpgid:\t1",
        "NSsid:\t1",
        "PPid:\t0",
        "SigBlk:\t0000000000000000",
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "00040000",
        "uid=1000(nixbld) gid=100(nixbld)",
        "not a tty",
        "no0",
        "is1",
        "is2",
        "0022",
        "/dev/null",
        "/build",
        "deny",
        "(none)",
        "0 1 1 0 -1",
    ] {
        assert!(log.lines().any(|found| found == line), "{line}:\n{log}");
    }
    assert!(log.lines().any(|line| line.starts_with("localhost ")), "{log}");
    assert!(log.contains("can't create /dev/tty: No such device or address"), "{log}");
    assert!(log.lines().any(|line| line.starts_with("Max core file size        0 ")), "{log}");
    // Ignored are only those that the shell ignores itself: SIGQUIT.
    assert!(log.contains("SigIgn:\t0000000000000004\n"), "{log}");
}

#[test]
fn a_32_bit_platform_sees_a_32_bit_machine() {
    let Some(place) = Place::new() else { return };
    let mut job = place.job("uname -m; cat /proc/1/personality; echo > $out");
    job.derivation.platform = b"i686-linux".to_vec();
    let (_, log) = place.built(&job);
    assert_eq!(log, "i686\n00040008\n");
}

#[test]
fn ownership_and_mounts_hold_builders_back() {
    let script = "
        for f in /x /etc/x /nix/x $PATH/x; do touch $f 2>&1; done
        chmod 755 $PATH/busybox 2>&1
        echo a > /tmp/a; ln /tmp/a /build/a 2>&1
        mkdir $out; echo b > $out/b; ln $out/b /build/b 2>&1; ln $out/b $out/c && echo linked
        mknod /build/n c 1 3 2>&1; mkfifo /build/f && echo fifo
        touch /build/m; chmod 4755 /build/m 2>&1; chmod 2755 /build/m 2>&1; chmod 1755 /build/m && echo sticky
        mount -t tmpfs none /tmp 2>&1; kill -9 1; echo alive
        ifconfig lo | grep -c 'inet addr:127.0.0.1'; cat /proc/net/dev | wc -l; ls /sys 2>&1";
    let Some(log) = seen("nix-2.8", &format!("({script}); rm -rf $out")) else { return };
    for line in [
        "touch: /x: Permission denied",
        "touch: /etc/x: Permission denied",
        "touch: /nix/x: Permission denied",
        "ln: /build/a: Invalid cross-device link",
        "ln: /build/b: Invalid cross-device link",
        "linked",
        "mknod: /build/n: Operation not permitted",
        "fifo",
        "chmod: /build/m: Operation not permitted",
        "sticky",
        "alive",
        "1",
        "3",
        "ls: /sys: No such file or directory",
    ] {
        assert!(log.lines().any(|found| found == line), "{line}:\n{log}");
    }
    assert!(log.contains("bin/busybox: Operation not permitted"), "{log}");
    assert!(log.contains("bin/x: Permission denied"), "{log}");
    assert!(!log.contains("none on /tmp"));
}

#[test]
fn a_shell_is_there_only_if_one_is_given() {
    let Some(place) = Place::new() else { return };
    let mut job = place.job("ls -lan /bin/ 2>&1; /bin/sh -c 'echo from $0'; echo > $out");
    assert!(place.built(&job).1.contains("ls: /bin/: No such file"));
    job.shell = Some(super::harness::BUSYBOX.into());
    let (built, log) = place.built(&job);
    assert!(log.contains("from /bin/sh"), "{log}");
    let (path, hash) = built.surroundings.shell.unwrap();
    assert_eq!(path.to_str(), Some(super::harness::BUSYBOX));
    assert_eq!(hash.digest().len(), 32);
}

#[test]
fn files_wait_in_the_build_directory() {
    let Some(place) = Place::new() else { return };
    let mut job = place.job(
        "stat -c '%n %a %u %g' /build/.a*; cat $textPath; echo; env | grep -c ^text=; echo > $out",
    );
    let placeholder = nix_verify::nix::derivation::placeholder::output_placeholder("out");
    job.derivation.env.extend([
        (b"passAsFile".to_vec(), b"text other".to_vec()),
        (b"text".to_vec(), format!("for {placeholder}").into_bytes()),
    ]);
    let (_, log) = place.built(&job);
    let file = "/build/.attr-1p5n7ja9dpn64sgw2fy6jwhkrmnzvr6zbh1sqqdi0fwynx5gkayk";
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines[0].starts_with("/build/.attr-") && lines[0].ends_with(" 644 1000 100"), "{log}");
    assert_eq!(lines[0].split(' ').next().unwrap().len(), file.len());
    assert_eq!(lines[1], "for /nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-test");
    assert_eq!(lines[2], "0");
}

#[test]
fn structured_attributes_replace_the_environment() {
    for (world, directory, valid) in
        [("nix-2.8", "/tmp/nix-build-cccc.drv-0", false), ("nix-2.35", "/build", true)]
    {
        let Some(place) = Place::new() else { return };
        let mut job = place.job(
            "PATH=TOOLS; cat /build/.attrs.json; echo; cat /build/.attrs.sh; \
             echo $NIX_ATTRS_JSON_FILE; stat -c '%a %u' /build/.attrs.sh; echo ${name-none}; \
             echo > /nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-test",
        );
        let tools = format!("/nix/store/{}/bin", super::harness::TOOLS);
        for argument in &mut job.derivation.args {
            *argument = String::from_utf8_lossy(argument).replace("TOOLS", &tools).into_bytes();
        }
        job.world = World::by_name(world).unwrap();
        let json = r#"{"name":"x","list":[1,"two"],"exportReferencesGraph":{"graph":["TOOLS"]}}"#;
        let json = json.replace("TOOLS", &format!("/nix/store/{}", super::harness::TOOLS));
        job.derivation.env = BTreeMap::from([(b"__json".to_vec(), json.into_bytes())]);
        let (_, log) = place.built(&job);
        assert!(log.contains(r#""outputs":{"out":"/nix/store/bbbb"#), "{log}");
        assert!(log.contains("declare -a list=(1 'two' )"), "{log}");
        assert_eq!(log.contains(r#""valid":true"#), valid, "{log}");
        let directory = directory.replace("cccc", "cccccccccccccccccccccccccccccccc-test");
        let directory = directory.replace("cccccccccccccccccccccccccccccccc-", "");
        assert!(log.contains(&format!("{directory}/.attrs.json\n")), "{log}");
        assert!(log.contains("\n644 1000\nnone\n"), "{log}");
    }
}

#[test]
fn reference_graphs_belong_to_root_and_later_to_the_builder() {
    for (world, owner) in [("nix-2.8", 65534), ("nix-2.24", 65534), ("nix-2.31", 1000)] {
        let Some(place) = Place::new() else { return };
        let mut job = place.job("stat -c '%a %u' graph; cat graph; echo > $out");
        job.world = World::by_name(world).unwrap();
        let tools = format!("/nix/store/{}", super::harness::TOOLS);
        let value = format!("graph {tools}");
        job.derivation.env.insert(b"exportReferencesGraph".to_vec(), value.into_bytes());
        let (_, log) = place.built(&job);
        assert_eq!(log, format!("644 {owner}\n{tools}\n\n0\n"));
    }
}

#[test]
fn inputs_of_every_kind_are_there() {
    for (world, link) in
        [("nix-2.8", "Operation not permitted"), ("nix-2.35", "Invalid cross-device link")]
    {
        let Some(place) = Place::new() else { return };
        let file = "dddddddddddddddddddddddddddddddd-file";
        let symlink = "ffffffffffffffffffffffffffffffff-link";
        let host = place.input_path(file);
        std::fs::write(&host, b"content").unwrap();
        std::fs::set_permissions(&host, std::os::unix::fs::PermissionsExt::from_mode(0o444))
            .unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
        std::fs::File::open(&host).unwrap().set_modified(time).unwrap();
        std::os::unix::fs::symlink("../target", place.input_path(symlink)).unwrap();
        let mut job = place.job(
            "cd /nix/store; stat -c '%n %a %u %g %Y %F' ./d*; cat ./d*; echo; readlink ./f*; \
             ln ./d* /nix/store/x 2>&1; echo > $out",
        );
        job.world = World::by_name(world).unwrap();
        job.inputs.extend([place.input(file), place.input(symlink)]);
        let (_, log) = place.built(&job);
        assert!(
            log.contains(&format!("./{file} 444 65534 65534 1 regular file\ncontent\n")),
            "{log}"
        );
        assert!(log.contains("\n../target\n"), "{log}");
        assert!(log.contains(link), "{log}");
        assert_eq!(std::fs::read(&host).unwrap(), b"content");
    }
}

#[test]
fn fixed_outputs_may_have_the_network_of_the_host() {
    use nix_verify::nix::content_address::Method;
    use nix_verify::nix::derivation::Output;
    use nix_verify::nix::hash::{Hash, HashAlgorithm};

    let Some(place) = Place::new() else { return };
    let script = "cat /etc/nsswitch.conf; echo checked $NIX_OUTPUT_CHECKED; echo set=$PWD_OF_TEST=; \
        readlink /proc/1/ns/net; ls /etc; exit 1";
    let host = std::fs::read_link("/proc/self/ns/net").unwrap();
    for (world, network, inside) in
        [("nix-2.8", true, true), ("nix-2.35", true, true), ("nix-2.35", false, false)]
    {
        let mut job = place.job(script);
        job.world = World::by_name(world).unwrap();
        job.network = network;
        let path = super::harness::store_path("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-test");
        let hash = Hash::of(HashAlgorithm::Sha256, b"");
        let output = Output::Fixed { path, method: Method::Flat, hash };
        job.derivation.outputs.insert("out".to_owned(), output);
        job.derivation
            .env
            .insert(b"impureEnvVars".to_vec(), b"PWD_OF_TEST CARGO_PKG_NAME".to_vec());
        let log = place.failed(&job).log.unwrap();
        let log = std::fs::read_to_string(log.path).unwrap();
        assert!(log.contains("checked 1\nset==\n"), "{log}");
        assert_eq!(log.contains(host.to_str().unwrap()), inside, "{log}");
        let services = "hosts: files dns\nservices: files\n";
        assert_eq!(log.contains(services), network, "{log}");
        assert!(log.contains("hosts"), "{log}");
    }
    // Only fixed outputs may, whatever the job says.
    let mut job = place.job("readlink /proc/1/ns/net; echo > $out");
    job.network = true;
    assert_ne!(place.built(&job).1.trim(), host.to_str().unwrap());
}
