//! Repositories made by real git, without anything from its user's
//! configuration.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix_verify::nix::git::ObjectId;

/// The time of the first commit; each one is a day later.
pub const EPOCH: i64 = 1_600_000_000;

/// A repository in a directory of its own.
pub struct TestRepository {
    pub dir: tempfile::TempDir,
    commits: i64,
}

/// A file that a commit has.
pub struct TestFile {
    pub mode: &'static str,
    pub path: Vec<u8>,
    /// The contents, a symlink's target, or a submodule's commit in base16.
    pub data: Vec<u8>,
}

impl TestFile {
    pub fn new(path: &str, data: &str) -> Self {
        Self { mode: "100644", path: path.as_bytes().to_vec(), data: data.as_bytes().to_vec() }
    }

    pub fn with_mode(mode: &'static str, path: &str, data: &str) -> Self {
        Self { mode, ..Self::new(path, data) }
    }
}

/// Whether a program is installed; with `CI` set it must be.
pub fn installed(program: &str, argument: &str) -> bool {
    let there = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "{program} is missing, and CI is set");
    if !there {
        eprintln!("skipped: {program} is not installed");
    }
    there
}

impl TestRepository {
    pub fn new() -> Self {
        let repository = Self { dir: tempfile::tempdir().unwrap(), commits: 0 };
        repository.git(&["init", "-q", "--bare", "-b", "main", "."]);
        repository
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A git command in it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.path()).args(arguments);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.path()).env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "A U Thor");
            command.env(format!("GIT_{who}_EMAIL"), "author@example.org");
            command
                .env(format!("GIT_{who}_DATE"), format!("{} +0000", EPOCH + self.commits * 86_400));
        }
        command
    }

    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Makes a commit on a branch (`refs/…`) that has exactly these files, on
    /// the commit `parent` or on none.
    pub fn commit(&mut self, on: &str, parent: Option<ObjectId>, files: &[TestFile]) -> ObjectId {
        self.commits += 1;
        let mut input = Vec::new();
        let time = EPOCH + self.commits * 86_400;
        // A reset first: without it the commit would take over what is there.
        writeln!(input, "reset {on}\n").unwrap();
        writeln!(input, "commit {on}\ncommitter A <a@example.org> {time} +0000\ndata 1\nx")
            .unwrap();
        if let Some(parent) = parent {
            writeln!(input, "from {parent}").unwrap();
        }
        writeln!(input, "deleteall").unwrap();
        for TestFile { mode, path, data } in files {
            let mut quoted = Vec::new();
            for &byte in path {
                if byte.is_ascii_alphanumeric() || b"._-/ ".contains(&byte) {
                    quoted.push(byte);
                } else {
                    write!(quoted, "\\{byte:03o}").unwrap();
                }
            }
            if *mode == "160000" {
                write!(input, "M {mode} {} \"", String::from_utf8_lossy(data)).unwrap();
                input.extend(quoted);
                writeln!(input, "\"").unwrap();
            } else {
                write!(input, "M {mode} inline \"").unwrap();
                input.extend(quoted);
                writeln!(input, "\"\ndata {}", data.len()).unwrap();
                input.extend(data);
                writeln!(input).unwrap();
            }
        }
        let mut child = self
            .command(&["fast-import", "--quiet", "--force", "--date-format=raw"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        ObjectId::parse(&self.git(&["rev-parse", on])).unwrap()
    }

    /// Says that it is a clone of that URL.
    pub fn clone_of(&self, url: &str) -> &Self {
        self.git(&["remote", "add", "--mirror=fetch", "origin", url]);
        self
    }

    /// The committer's time of a commit.
    pub fn time(&self, commit: ObjectId) -> i64 {
        self.git(&["log", "-1", "--format=%ct", &commit.to_string()]).parse().unwrap()
    }

    /// What `git archive` gives, unpacked.
    pub fn archive(&self, commit: ObjectId) -> tempfile::TempDir {
        let to = tempfile::tempdir().unwrap();
        let mut archive = self
            .command(&["archive", "--format=tar", &commit.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let status = Command::new("tar")
            .args(["-x", "-C"])
            .arg(to.path())
            .stdin(archive.stdout.take().unwrap())
            .status()
            .unwrap();
        assert!(archive.wait().unwrap().success() && status.success());
        to
    }
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A `nix` command that touches nothing outside `home`.
pub fn nix(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("nix");
    command.args(["--extra-experimental-features", "nix-command flakes", "--offline"]);
    command.args(arguments);
    command.env("NIX_REMOTE", format!("local?root={}", home.display()));
    command.env("HOME", home).env("XDG_CACHE_HOME", home.join("cache")).env_remove("NIX_CONFIG");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command
}
