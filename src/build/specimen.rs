//! Two derivations whose results are known beforehand: one that gives the same
//! every time, and one that never does.
//!
//! They need nothing of the machine: their builder is a program of some hundred
//! bytes, made here. It takes the path of the output as its first argument and
//! writes [`TEXT`] there, or 32 random bytes if there is a second argument.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::gather::nar::tree::hash_tree;
use crate::nix::content_address::{ContentAddress, Method, References};
use crate::nix::derivation::placeholder::output_placeholder;
use crate::nix::derivation::{Derivation, OUT, Output, OutputPathCheck, check_paths};
use crate::nix::store_path::{StoreDir, StorePath};
use crate::state::{BuildDir, StateDir};

use super::job::InputObject;
use super::outcome::BuildError;

/// What the builder that gives the same every time writes.
pub const TEXT: &[u8; 32] = b"built the same way by everybody\n";

/// `open(argv[1], O_WRONLY|O_CREAT|O_EXCL, 0644)`, then `write` of the text
/// that follows, or of 32 bytes of `getrandom` if there is `argv[2]`, then
/// `exit` with 0 if all were written.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const CODE: [u8; 93] = [
    0x48, 0x8b, 0x7c, 0x24, 0x10, // mov 0x10(%rsp),%rdi
    0xbe, 0xc1, 0x00, 0x00, 0x00, // mov $0xc1,%esi
    0xba, 0xa4, 0x01, 0x00, 0x00, // mov $0x1a4,%edx
    0xb8, 0x02, 0x00, 0x00, 0x00, // mov $0x2,%eax
    0x0f, 0x05, // syscall
    0x41, 0x89, 0xc4, // mov %eax,%r12d
    0x48, 0x8d, 0x35, 0x3d, 0x00, 0x00, 0x00, // lea text(%rip),%rsi
    0x48, 0x83, 0x7c, 0x24, 0x18, 0x00, // cmpq $0x0,0x18(%rsp)
    0x74, 0x18, // je write: the same for everybody
    0x48, 0x83, 0xec, 0x20, // sub $0x20,%rsp
    0x48, 0x89, 0xe7, // mov %rsp,%rdi
    0xbe, 0x20, 0x00, 0x00, 0x00, // mov $0x20,%esi
    0x31, 0xd2, // xor %edx,%edx
    0xb8, 0x3e, 0x01, 0x00, 0x00, // mov $0x13e,%eax
    0x0f, 0x05, // syscall
    0x48, 0x89, 0xe6, // mov %rsp,%rsi
    // write:
    0x44, 0x89, 0xe7, // mov %r12d,%edi
    0xba, 0x20, 0x00, 0x00, 0x00, // mov $0x20,%edx
    0xb8, 0x01, 0x00, 0x00, 0x00, // mov $0x1,%eax
    0x0f, 0x05, // syscall
    0x48, 0x83, 0xe8, 0x20, // sub $0x20,%rax
    0x48, 0x89, 0xc7, // mov %rax,%rdi
    0xb8, 0x3c, 0x00, 0x00, 0x00, // mov $0x3c,%eax
    0x0f, 0x05, // syscall
];

/// `openat(AT_FDCWD, argv[1], O_WRONLY|O_CREAT|O_EXCL, 0644)`, then `write` of
/// the text that follows, or of 32 bytes of `getrandom` if there is `argv[2]`,
/// then `exit` with 0 if all were written.
#[cfg(target_arch = "aarch64")]
#[rustfmt::skip]
const CODE: [u8; 100] = [
    0xe1, 0x0b, 0x40, 0xf9, // ldr x1, [sp, #16]
    0x60, 0x0c, 0x80, 0x92, // mov x0, #0xffffffffffffff9c
    0x22, 0x18, 0x80, 0xd2, // mov x2, #0xc1
    0x83, 0x34, 0x80, 0xd2, // mov x3, #0x1a4
    0x08, 0x07, 0x80, 0xd2, // mov x8, #0x38
    0x01, 0x00, 0x00, 0xd4, // svc #0x0
    0xf3, 0x03, 0x00, 0xaa, // mov x19, x0
    0x54, 0x02, 0x00, 0x10, // adr x20, text
    0xf5, 0x0f, 0x40, 0xf9, // ldr x21, [sp, #24]
    0x15, 0x01, 0x00, 0xb4, // cbz x21, write: the same for everybody
    0xff, 0x83, 0x00, 0xd1, // sub sp, sp, #0x20
    0xf4, 0x03, 0x00, 0x91, // mov x20, sp
    0xe0, 0x03, 0x14, 0xaa, // mov x0, x20
    0x01, 0x04, 0x80, 0xd2, // mov x1, #0x20
    0x02, 0x00, 0x80, 0xd2, // mov x2, #0x0
    0xc8, 0x22, 0x80, 0xd2, // mov x8, #0x116
    0x01, 0x00, 0x00, 0xd4, // svc #0x0
    // write:
    0xe0, 0x03, 0x13, 0xaa, // mov x0, x19
    0xe1, 0x03, 0x14, 0xaa, // mov x1, x20
    0x02, 0x04, 0x80, 0xd2, // mov x2, #0x20
    0x08, 0x08, 0x80, 0xd2, // mov x8, #0x40
    0x01, 0x00, 0x00, 0xd4, // svc #0x0
    0x00, 0x80, 0x00, 0xd1, // sub x0, x0, #0x20
    0xa8, 0x0b, 0x80, 0xd2, // mov x8, #0x5d
    0x01, 0x00, 0x00, 0xd4, // svc #0x0
];

/// `e_machine` of this processor.
const MACHINE: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

/// Where the program is loaded.
const ADDRESS: u64 = 0x40_0000;

/// Bytes of the three headers before the code.
const HEADERS: u64 = 64 + 2 * 56;

/// The builder: an ELF file that is loaded as a whole.
#[must_use]
pub fn program() -> Vec<u8> {
    let size = HEADERS + length(&CODE) + length(TEXT);
    let mut file = Vec::new();
    // Class 64, little-endian, version 1; an executable.
    file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    for half in [2, MACHINE] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes());
    // Entry, program headers behind this header, no sections.
    for word in [ADDRESS + HEADERS, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 2, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    // One segment to be loaded, read and executed: the whole file.
    for word in [1_u32, 5] {
        file.extend(word.to_le_bytes());
    }
    for word in [0, ADDRESS, ADDRESS, size, size, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    // A stack that is read and written, not executed.
    for word in [0x6474_e551_u32, 6] {
        file.extend(word.to_le_bytes());
    }
    for word in [0_u64, 0, 0, 0, 0, 16] {
        file.extend(word.to_le_bytes());
    }
    file.extend(CODE);
    file.extend(TEXT);
    file
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// One of the two derivations.
#[derive(Debug, Clone)]
pub struct Specimen {
    /// The path of its `.drv`.
    pub drv_path: StorePath,
    /// The derivation.
    pub derivation: Derivation,
    /// The path of its one output.
    pub out: StorePath,
}

/// Both, with their builder on this machine.
#[derive(Debug)]
pub struct Specimens {
    /// Gives [`TEXT`].
    pub same: Specimen,
    /// Gives 32 other bytes every time.
    pub random: Specimen,
    /// What both build on.
    pub inputs: BTreeMap<StorePath, InputObject>,
    room: BuildDir,
}

impl Specimens {
    /// Makes them. Whatever `nonce` is becomes part of the derivations, so that
    /// nobody has built them before.
    ///
    /// # Errors
    /// A state directory that cannot be written to.
    pub fn lay_out(
        state: &StateDir,
        store_dir: &StoreDir,
        nonce: &str,
    ) -> Result<Self, BuildError> {
        let room = state.build_dir().map_err(|error| BuildError::Other(error.to_string()))?;
        let file = room.path().join("builder");
        let failed = |action| {
            let path = file.clone();
            move |source| BuildError::Path { action, path, source }
        };
        std::fs::write(&file, program()).map_err(failed("write"))?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o555))
            .map_err(failed("make executable"))?;
        let (nar_hash, nar_size) = hash_tree(&file, &mut [])?;
        let bad = |error: &dyn std::fmt::Display| BuildError::Job(error.to_string());
        let ca =
            ContentAddress::new(Method::Recursive, nar_hash.hash()).map_err(|error| bad(&error))?;
        let builder = ca
            .store_path(store_dir, "verify-canary-builder", &References::default())
            .map_err(|error| bad(&error))?;
        let specimen = |name: &str, argument: Option<&str>| {
            specimen(name, argument, nonce, &builder, store_dir).map_err(BuildError::Job)
        };
        let (same, random) =
            (specimen("verify-canary-same", None)?, specimen("verify-canary-random", Some("r"))?);
        let input = InputObject {
            host_path: file.clone(),
            nar_hash,
            nar_size,
            references: BTreeSet::new(),
            ca: Some(ca),
            deriver: None,
        };
        Ok(Self { same, random, inputs: BTreeMap::from([(builder, input)]), room })
    }

    /// A directory of their own, which goes with them.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.room.path().join("cache")
    }
}

/// One derivation, with the paths that follow from it.
fn specimen(
    name: &str,
    argument: Option<&str>,
    nonce: &str,
    builder: &StorePath,
    store_dir: &StoreDir,
) -> Result<Specimen, String> {
    let text = |text: &str| text.as_bytes().to_vec();
    let builder_file = store_dir.full(builder);
    let platform = format!("{}-linux", std::env::consts::ARCH);
    let arguments = std::iter::once(output_placeholder(OUT)).chain(argument.map(str::to_owned));
    let mut derivation = Derivation {
        outputs: [(OUT.to_owned(), Output::Deferred)].into(),
        input_drvs: BTreeMap::new(),
        input_srcs: BTreeSet::from([builder.clone()]),
        platform: text(&platform),
        builder: text(&builder_file),
        args: arguments.map(String::into_bytes).collect(),
        env: BTreeMap::from([
            (text("builder"), text(&builder_file)),
            (text("name"), text(name)),
            (text("nonce"), text(nonce)),
            (text(OUT), Vec::new()),
            (text("system"), text(&platform)),
        ]),
    };
    let drv_path = |derivation: &Derivation| {
        derivation.drv_path(name, store_dir).map_err(|error| error.to_string())
    };
    let nothing: BTreeMap<StorePath, Derivation> = BTreeMap::new();
    let report = check_paths(&derivation, &drv_path(&derivation)?, store_dir, &nothing)
        .map_err(|error| error.to_string())?;
    let Some(OutputPathCheck::NeedlesslyDeferred { expected: out }) = report.outputs.get(OUT)
    else {
        return Err(format!("no path follows for the output of {name}"));
    };
    derivation.outputs.insert(OUT.to_owned(), Output::InputAddressed { path: out.clone() });
    derivation.env.insert(text(OUT), text(&store_dir.full(out)));
    Ok(Specimen { drv_path: drv_path(&derivation)?, derivation, out: out.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builder_does_what_it_should() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("builder");
        std::fs::write(&file, program()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        let run = |arguments: &[&str]| {
            // Another test may have forked while the file was open for writing.
            loop {
                let status =
                    std::process::Command::new(&file).args(arguments).current_dir(&place).status();
                match status {
                    Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
                    other => return other.unwrap().success(),
                }
            }
        };
        let read = |name: &str| std::fs::read(place.path().join(name)).unwrap();
        assert!(run(&["same"]) && run(&["one", "r"]) && run(&["two", "r"]));
        assert_eq!(read("same"), TEXT);
        assert_eq!([read("one").len(), read("two").len()], [32, 32]);
        assert_ne!(read("one"), read("two"));
        assert!(!run(&["same"]), "it overwrote a file");
    }

    #[test]
    fn their_paths_follow_from_them() {
        let place = tempfile::tempdir().unwrap();
        let state = StateDir::open(&place.path().join("state")).unwrap();
        let store_dir = StoreDir::default();
        let specimens = Specimens::lay_out(&state, &store_dir, "1").unwrap();
        let nothing: BTreeMap<StorePath, Derivation> = BTreeMap::new();
        for specimen in [&specimens.same, &specimens.random] {
            let Specimen { derivation, drv_path, .. } = specimen;
            let report = check_paths(derivation, drv_path, &store_dir, &nothing).unwrap();
            assert!(report.is_right(), "{report:?}");
        }
        assert_ne!(specimens.same.out, specimens.random.out);
        let others = Specimens::lay_out(&state, &store_dir, "2").unwrap();
        assert_ne!(specimens.same.out, others.same.out);
    }
}
