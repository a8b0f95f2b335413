//! `verify inspect`: what one file says, strictly read.

use std::path::Path;

use super::cli::{FileKind, InspectArgs};
use super::deliver::show;
use super::options::KeyOptions;
use super::sources::trusted_keys;
use super::time::Timestamp;
use super::{Environment, ToolError};
use crate::check::difference::Context;
use crate::check::inspect::derivation::Name;
use crate::check::inspect::narinfo::{Expected, Trust};
use crate::check::inspect::{against, derivation, lock, nar, narinfo};
use crate::gather::derivations::modulo_inputs;
use crate::gather::named::input::Input;
use crate::nix::derivation::aterm::MAX_DRV_LEN;
use crate::nix::json;
use crate::nix::narinfo::MAX_NARINFO_LEN;
use crate::nix::nix32;
use crate::nix::signature::{CACHE_NIXOS_ORG_KEY, TrustedKeys};
use crate::nix::store_path::{HASH_PART_LEN, StoreDir, StorePath, check_name};
use crate::report::{self, Report};

/// How a NAR begins: the length of its magic and the magic.
const NAR_START: &[u8] = b"\x0d\0\0\0\0\0\0\0nix-archive-1";

/// How compressed files begin, and what makes a NAR of them.
const COMPRESSED: [(&[u8], &str); 6] = [
    (b"\xfd7zXZ\0", "xz -d"),
    (b"\x28\xb5\x2f\xfd", "zstd -d"),
    (b"BZh", "bzip2 -d"),
    (b"\x1f\x8b", "gzip -d"),
    (b"LZIP", "lzip -d"),
    (b"\x04\x22\x4d\x18", "lz4 -d"),
];

/// Inspects a file.
///
/// # Errors
/// A file that cannot be read, a kind that cannot be told, bad keys or paths.
pub fn run(args: &InspectArgs, environment: &Environment) -> Result<Report, ToolError> {
    let store_dir = StoreDir::default();
    let wanted = args.store_path.as_deref().map(|text| store_path(text, &store_dir)).transpose()?;
    let (trusted, named) = keys(&args.keys, environment)?;
    let subject = show(&args.file);
    let path = environment.absolute(&args.file);
    let cannot_read = |error| ToolError::failed(format!("inspect '{subject}'"), error);
    let input = Input::open(&path).map_err(cannot_read)?;
    let kind = match args.kind {
        Some(kind) => kind,
        None => detect(input.head(), &subject)?,
    };
    if let Some(other) = &args.against {
        if kind != FileKind::Nar {
            return Err(ToolError::Usage(format!(
                "--against compares NARs, and '{subject}' is taken for a {}",
                kind.name()
            )));
        }
        return against((&subject, input), other, args, environment, &store_dir);
    }
    Ok(match kind {
        FileKind::Nar => {
            let done = nar::inspect(&subject, input.into_reader(), wanted.as_ref(), &store_dir)
                .map_err(|error| ToolError::failed(format!("read '{subject}'"), error.0))?;
            report::inspect::nar(done, &store_dir)
        }
        FileKind::Narinfo => {
            let bytes = input.read_up_to(MAX_NARINFO_LEN).map_err(cannot_read)?;
            let expected = match wanted {
                Some(path) => Expected::Path(path),
                None => hash_part_of(&args.file).map_or(Expected::Unknown, Expected::HashPart),
            };
            let trust = Trust { keys: &trusted, named };
            let done = narinfo::inspect(&subject, &bytes, &expected, trust, &store_dir);
            report::inspect::narinfo(done, &store_dir)
        }
        FileKind::Drv => {
            let bytes = input.read_up_to(MAX_DRV_LEN).map_err(cannot_read)?;
            let drv = match derivation::parse(&subject, &bytes, &store_dir) {
                Ok(drv) => drv,
                Err(done) => return Ok(report::inspect::derivation(*done, &store_dir)),
            };
            let mut files = args.derivations.open(environment, &store_dir, None)?;
            if let Some(directory) = path.parent() {
                files.add_directory(directory);
            }
            let inputs = modulo_inputs::read(&drv, &files)
                .map_err(|error| ToolError::failed("read the derivations of inputs", error))?;
            let name = wanted.map_or_else(|| name_of(&args.file), Name::Path);
            let done = derivation::inspect(&subject, drv, &name, &inputs, &store_dir);
            report::inspect::derivation(done, &store_dir)
        }
        FileKind::Lock => {
            let bytes = input.read_up_to(json::MAX_LEN).map_err(cannot_read)?;
            report::inspect::lock(lock::inspect(&subject, &bytes), &store_dir)
        }
    })
}

/// Holds a NAR against another one.
fn against(
    (subject, input): (&str, Input),
    other: &Path,
    args: &InspectArgs,
    environment: &Environment,
    store_dir: &StoreDir,
) -> Result<Report, ToolError> {
    let name = show(other);
    let second = Input::open(&environment.absolute(other))
        .map_err(|error| ToolError::failed(format!("inspect '{name}'"), error))?;
    let now = args.output.now.unwrap_or_else(|| Timestamp::from(environment.now));
    let context = Context { now: u64::try_from(now.seconds()).unwrap_or(0), ..Context::default() };
    let first = (subject, input.into_reader());
    let done =
        against::inspect(first, (&name, second.into_reader()), &context).map_err(|error| {
            ToolError::failed(format!("compare '{subject}' with '{name}'"), error.0)
        })?;
    Ok(report::inspect::nars(done, store_dir))
}

/// The keys whose signatures count, and whether the user named any; with none
/// named it is the published key of the main public cache.
fn keys(options: &KeyOptions, environment: &Environment) -> Result<(TrustedKeys, bool), ToolError> {
    if options.trusted_keys.is_empty() && options.trusted_keys_file.is_none() {
        let published = TrustedKeys::parse(CACHE_NIXOS_ORG_KEY)
            .map_err(|error| ToolError::failed("use the default key", error))?;
        return Ok((published, false));
    }
    let named = trusted_keys(options, environment)?;
    if named.is_empty() {
        return Err(ToolError::Usage("--trusted-keys-file names no key at all".to_owned()));
    }
    Ok((named, true))
}

/// A store path as people write it: whole, or its base name.
fn store_path(text: &str, store_dir: &StoreDir) -> Result<StorePath, ToolError> {
    let parsed = if text.contains('/') { store_dir.parse(text) } else { text.parse() };
    parsed.map_err(|error| ToolError::Usage(format!("--store-path: {error}")))
}

/// What a file is, from how it begins.
fn detect(head: &[u8], subject: &str) -> Result<FileKind, ToolError> {
    let text = head.trim_ascii_start();
    if head.starts_with(NAR_START) {
        Ok(FileKind::Nar)
    } else if head.starts_with(b"Derive(") || head.starts_with(b"DrvWithVersion(") {
        Ok(FileKind::Drv)
    } else if text.starts_with(b"{") {
        Ok(FileKind::Lock)
    } else if has_field(head) {
        Ok(FileKind::Narinfo)
    } else if let Some((_, program)) = COMPRESSED.iter().find(|(start, _)| head.starts_with(start))
    {
        Err(ToolError::Usage(format!(
            "'{subject}' is compressed: unpack it first ('{program} < FILE > FILE.nar')"
        )))
    } else {
        Err(ToolError::Usage(format!(
            "cannot tell what '{subject}' is: say --kind nar, narinfo, drv or lock"
        )))
    }
}

/// Whether a line of the beginning is a field that only narinfos have.
fn has_field(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').any(|line| {
        [&b"StorePath:"[..], b"NarHash:", b"NarSize:"].iter().any(|field| line.starts_with(field))
    })
}

/// The hash part that a cache's file name `<hash part>.narinfo` asks for.
fn hash_part_of(file: &Path) -> Option<String> {
    let stem = file.file_name()?.to_str()?.strip_suffix(".narinfo")?;
    let digits = stem.len() == HASH_PART_LEN && nix32::decode::<20>(stem.as_bytes()).is_ok();
    digits.then(|| stem.to_owned())
}

/// What a file's name says of a derivation's path.
fn name_of(file: &Path) -> Name {
    let Some(base) = file.file_name().and_then(|name| name.to_str()) else { return Name::Unknown };
    if let Some(path) = base.parse::<StorePath>().ok().filter(StorePath::is_derivation) {
        return Name::Path(path);
    }
    match base.strip_suffix(".drv") {
        Some(name) if check_name(base).is_ok() => Name::Name(name.to_owned()),
        _ => Name::Unknown,
    }
}
