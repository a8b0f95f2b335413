//! busybox-static, the builder of everything here.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::nix::Nix;

/// The static shell with all its applets, and `/bin/sh` of the sandbox.
pub const PATH: &str = "/usr/bin/busybox";

/// Adds busybox as a folder: under another name it would not know its applets.
pub fn add(nix: &Nix, dir: &Path) -> String {
    let folder = dir.join("bb");
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::copy(PATH, bin.join("busybox")).expect("busybox-static is installed");
    let applets = Command::new(PATH).arg("--list").output().unwrap();
    for applet in
        String::from_utf8(applets.stdout).unwrap().lines().filter(|applet| *applet != "busybox")
    {
        symlink("busybox", bin.join(applet)).unwrap();
    }
    nix.add(&folder)
}
