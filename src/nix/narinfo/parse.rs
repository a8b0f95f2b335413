//! The reader of narinfos.

use super::{
    Compression, ContentAddress, FileHash, NarHash, NarInfo, NarUrl, Signature, StoreDir,
    StorePath, UNKNOWN_DERIVER,
};
use crate::nix::content_address::ContentAddressError;
use crate::nix::hash::{Hash, HashAlgorithm, HashError};
use crate::nix::signature::SignatureError;
use crate::nix::store_path::StorePathError;

/// Longest file that is read. The longest genuine one known has 205 kB with
/// 3,691 references; this is eighty times that.
pub const MAX_NARINFO_LEN: usize = 16 << 20;

/// Most references of one object: 27 times the most known. Each is kept and
/// hashed again for every signature.
pub const MAX_REFERENCES: usize = 100_000;

/// Most signatures of one file. Genuine files have one to three; each costs
/// an Ed25519 verification or two.
pub const MAX_SIGNATURES: usize = 256;

/// Longest value of a field other than the references; store paths, URLs and
/// signatures have some hundred characters.
pub const MAX_VALUE_LEN: usize = 8192;

/// Most fields that this version does not know; Nix writes one at most.
pub const MAX_UNKNOWN_FIELDS: usize = 256;

/// What a missing or empty `Compression` means: the only one Nix once had.
const UNNAMED_COMPRESSION: Compression = Compression::Bzip2;

/// Longest name of a field.
const MAX_FIELD_LEN: usize = 64;

/// Why a file is no narinfo, or not the one that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NarInfoError {
    /// Too long.
    #[error("the narinfo has {0} bytes (expected at most {MAX_NARINFO_LEN})")]
    TooLong(usize),
    /// No text.
    #[error("the narinfo is not UTF-8 text: first bad byte at offset {offset}")]
    NotText {
        /// Where the text ends.
        offset: usize,
    },
    /// Windows line ends; Nix would take the CR for part of the value.
    #[error("line {line} of the narinfo ends in CR LF (expected LF alone)")]
    CarriageReturn {
        /// The line.
        line: usize,
    },
    /// A control character.
    #[error("line {line} of the narinfo holds the control byte {byte:#04x} at offset {offset}")]
    Control {
        /// The line.
        line: usize,
        /// Offset in the file.
        offset: usize,
        /// The byte found.
        byte: u8,
    },
    /// The last line is cut short.
    #[error("line {line} of the narinfo does not end in a line feed: the file may be cut short")]
    NoLineFeed {
        /// The line.
        line: usize,
    },
    /// No `Name: value`.
    #[error("line {line} of the narinfo is not '<field>: <value>'")]
    NotAField {
        /// The line.
        line: usize,
    },
    /// A field that may stand once stands twice.
    #[error("line {line} of the narinfo gives {field} again (expected it once)")]
    Doubled {
        /// The line.
        line: usize,
        /// The field.
        field: &'static str,
    },
    /// A required field is missing or empty.
    #[error("the narinfo has no {0}")]
    Missing(&'static str),
    /// A value that no genuine file has.
    #[error(
        "line {line} of the narinfo: {field} has {found} characters (expected at most {MAX_VALUE_LEN})"
    )]
    LongValue {
        /// The line.
        line: usize,
        /// The field.
        field: &'static str,
        /// The length.
        found: usize,
    },
    /// A known field with a value beyond ASCII.
    #[error("line {line} of the narinfo: {field} holds characters beyond ASCII")]
    NotAscii {
        /// The line.
        line: usize,
        /// The field.
        field: &'static str,
    },
    /// `StorePath`, a reference or the deriver is no store path.
    #[error("line {line} of the narinfo: bad {field}: {source}")]
    StorePath {
        /// The line.
        line: usize,
        /// The field.
        field: &'static str,
        /// What is wrong.
        source: StorePathError,
    },
    /// `NarHash` or `FileHash` is no hash.
    #[error("line {line} of the narinfo: bad {field}: {source}")]
    Hash {
        /// The line.
        line: usize,
        /// The field.
        field: &'static str,
        /// What is wrong.
        source: HashError,
    },
    /// `NarSize` or `FileSize` is no number.
    #[error(
        "line {line} of the narinfo: {field} '{found}' is not a plain decimal number below 2^64"
    )]
    Number {
        /// The line.
        line: usize,
        /// The field.
        field: &'static str,
        /// The value found.
        found: String,
    },
    /// A NAR has at least some hundred bytes.
    #[error("line {line} of the narinfo: NarSize is 0")]
    ZeroNarSize {
        /// The line.
        line: usize,
    },
    /// A compression that Nix does not know.
    #[error(
        "line {line} of the narinfo: unknown compression '{found}' (expected none, xz, bzip2, gzip, zstd, lzip, lz4 or br)"
    )]
    Compression {
        /// The line.
        line: usize,
        /// The value found.
        found: String,
    },
    /// Too many references.
    #[error(
        "line {line} of the narinfo has {found} references (expected at most {MAX_REFERENCES})"
    )]
    TooManyReferences {
        /// The line.
        line: usize,
        /// How many there are.
        found: usize,
    },
    /// Two blanks between references, or one before or after them.
    #[error(
        "line {line} of the narinfo: reference {index} is empty (expected one blank between references)"
    )]
    EmptyReference {
        /// The line.
        line: usize,
        /// Which, counted from 1.
        index: usize,
    },
    /// A reference stands twice.
    #[error("line {line} of the narinfo gives the reference {path} twice")]
    DoubledReference {
        /// The line.
        line: usize,
        /// The reference.
        path: StorePath,
    },
    /// A damaged signature.
    #[error("line {line} of the narinfo: bad Sig: {source}")]
    Signature {
        /// The line.
        line: usize,
        /// What is wrong.
        source: SignatureError,
    },
    /// Too many signatures.
    #[error("the narinfo has more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// Too many fields of unknown names.
    #[error("the narinfo has more than {MAX_UNKNOWN_FIELDS} fields of unknown names")]
    TooManyUnknownFields,
    /// A damaged content address.
    #[error("line {line} of the narinfo: bad CA: {source}")]
    ContentAddress {
        /// The line.
        line: usize,
        /// What is wrong.
        source: ContentAddressError,
    },
    /// The file describes another path.
    #[error("the narinfo describes {found} where {asked} was asked for")]
    OtherPath {
        /// The path described.
        found: StorePath,
        /// The path asked for.
        asked: StorePath,
    },
}

/// A field's value with its place.
#[derive(Clone, Copy)]
struct Value<'a> {
    line: usize,
    field: &'static str,
    text: &'a str,
}

impl<'a> Value<'a> {
    fn short(self) -> Result<&'a str, NarInfoError> {
        let Self { line, field, text } = self;
        if text.len() > MAX_VALUE_LEN {
            return Err(NarInfoError::LongValue { line, field, found: text.len() });
        }
        Ok(text)
    }

    fn base_name(self) -> Result<StorePath, NarInfoError> {
        self.path_error(self.short()?.parse())
    }

    fn full_path(self, store_dir: &StoreDir) -> Result<StorePath, NarInfoError> {
        self.path_error(store_dir.parse(self.short()?))
    }

    fn path_error(
        self,
        result: Result<StorePath, StorePathError>,
    ) -> Result<StorePath, NarInfoError> {
        let Self { line, field, .. } = self;
        result.map_err(|source| NarInfoError::StorePath { line, field, source })
    }

    /// A hash that names its algorithm, in any notation.
    fn hash(self) -> Result<Hash, NarInfoError> {
        Hash::parse(self.short()?, None).map_err(|source| self.hash_error(source))
    }

    fn hash_error(self, source: HashError) -> NarInfoError {
        NarInfoError::Hash { line: self.line, field: self.field, source }
    }

    fn nar_hash(self) -> Result<NarHash, NarInfoError> {
        let hash = self.hash()?;
        NarHash::from_sha256(&hash).ok_or_else(|| {
            self.hash_error(HashError::OtherAlgorithm {
                found: hash.algorithm(),
                expected: HashAlgorithm::Sha256,
            })
        })
    }

    /// A number as Nix writes it: no sign, no leading zero.
    fn number(self) -> Result<u64, NarInfoError> {
        let text = self.short()?;
        let plain = text.bytes().all(|byte| byte.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'));
        plain.then(|| text.parse().ok()).flatten().ok_or_else(|| NarInfoError::Number {
            line: self.line,
            field: self.field,
            found: text.chars().take(MAX_FIELD_LEN).collect(),
        })
    }

    fn compression(self) -> Result<Compression, NarInfoError> {
        let text = self.short()?;
        if text.is_empty() {
            return Ok(UNNAMED_COMPRESSION);
        }
        Compression::from_name(text).ok_or_else(|| NarInfoError::Compression {
            line: self.line,
            found: text.chars().take(MAX_FIELD_LEN).collect(),
        })
    }

    fn references(self) -> Result<Vec<StorePath>, NarInfoError> {
        let Self { line, text, .. } = self;
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let found = text.bytes().filter(|byte| *byte == b' ').count().saturating_add(1);
        if found > MAX_REFERENCES {
            return Err(NarInfoError::TooManyReferences { line, found });
        }
        let mut paths = Vec::new();
        for (index, text) in text.split(' ').enumerate() {
            if text.is_empty() {
                return Err(NarInfoError::EmptyReference { line, index: index.saturating_add(1) });
            }
            paths.push(Value { text, ..self }.base_name()?);
        }
        let mut sorted: Vec<&StorePath> = paths.iter().collect();
        sorted.sort();
        match sorted.iter().zip(sorted.iter().skip(1)).find(|(path, next)| path == next) {
            Some((path, _)) => Err(NarInfoError::DoubledReference { line, path: (*path).clone() }),
            None => Ok(paths),
        }
    }

    fn signature(self) -> Result<Signature, NarInfoError> {
        let error = |source| NarInfoError::Signature { line: self.line, source };
        self.short()?.parse().map_err(error)
    }

    fn content_address(self) -> Result<ContentAddress, NarInfoError> {
        let error = |source| NarInfoError::ContentAddress { line: self.line, source };
        self.short()?.parse().map_err(error)
    }
}

/// The values of the fields that may stand once.
#[derive(Default)]
struct Fields<'a> {
    store_path: Option<Value<'a>>,
    url: Option<Value<'a>>,
    compression: Option<Value<'a>>,
    file_hash: Option<Value<'a>>,
    file_size: Option<Value<'a>>,
    nar_hash: Option<Value<'a>>,
    nar_size: Option<Value<'a>>,
    references: Option<Value<'a>>,
    deriver: Option<Value<'a>>,
    system: Option<Value<'a>>,
    ca: Option<Value<'a>>,
}

impl<'a> Fields<'a> {
    /// The slot of a field and its name, if it is a field that may stand once.
    fn slot(&mut self, name: &str) -> Option<(&'static str, &mut Option<Value<'a>>)> {
        Some(match name {
            "StorePath" => ("StorePath", &mut self.store_path),
            "URL" => ("URL", &mut self.url),
            "Compression" => ("Compression", &mut self.compression),
            "FileHash" => ("FileHash", &mut self.file_hash),
            "FileSize" => ("FileSize", &mut self.file_size),
            "NarHash" => ("NarHash", &mut self.nar_hash),
            "NarSize" => ("NarSize", &mut self.nar_size),
            "References" => ("References", &mut self.references),
            "Deriver" => ("Deriver", &mut self.deriver),
            "System" => ("System", &mut self.system),
            "CA" => ("CA", &mut self.ca),
            _ => return None,
        })
    }
}

/// The file as text without control characters but the line feeds.
fn checked_text(bytes: &[u8]) -> Result<&str, NarInfoError> {
    if bytes.len() > MAX_NARINFO_LEN {
        return Err(NarInfoError::TooLong(bytes.len()));
    }
    let line_at = |offset: usize| {
        let before = bytes.get(..offset).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1)
    };
    let control = |byte: &u8| byte.is_ascii_control() && *byte != b'\n';
    if let Some((offset, &byte)) = bytes.iter().enumerate().find(|(_, byte)| control(byte)) {
        let line = line_at(offset);
        let ends_line = bytes.get(offset.saturating_add(1)) == Some(&b'\n');
        return Err(if byte == b'\r' && ends_line {
            NarInfoError::CarriageReturn { line }
        } else {
            NarInfoError::Control { line, offset, byte }
        });
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| NarInfoError::NotText { offset: error.valid_up_to() })?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(NarInfoError::NoLineFeed { line: line_at(bytes.len()) });
    }
    Ok(text)
}

/// Splits `<field>: <value>`.
fn split_field(line: usize, text: &str) -> Result<(&str, &str), NarInfoError> {
    text.split_once(": ")
        .filter(|(name, _)| {
            !name.is_empty()
                && name.len() <= MAX_FIELD_LEN
                && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
        })
        .ok_or(NarInfoError::NotAField { line })
}

/// A field that has to be there and may not be empty.
fn required<'a>(value: Option<Value<'a>>, field: &'static str) -> Result<Value<'a>, NarInfoError> {
    value.filter(|value| !value.text.is_empty()).ok_or(NarInfoError::Missing(field))
}

pub(super) fn parse(bytes: &[u8], store_dir: &StoreDir) -> Result<NarInfo, NarInfoError> {
    let text = checked_text(bytes)?;
    let mut fields = Fields::default();
    let mut signatures = Vec::new();
    let mut unknown_fields = Vec::new();
    for (index, text) in text.split_terminator('\n').enumerate() {
        let line = index.saturating_add(1);
        let (name, text) = split_field(line, text)?;
        if name == "Sig" {
            if signatures.len() >= MAX_SIGNATURES {
                return Err(NarInfoError::TooManySignatures);
            }
            signatures.push(Value { line, field: "Sig", text }.signature()?);
        } else if let Some((field, slot)) = fields.slot(name) {
            if slot.is_some() {
                return Err(NarInfoError::Doubled { line, field });
            }
            if !text.is_ascii() {
                return Err(NarInfoError::NotAscii { line, field });
            }
            *slot = Some(Value { line, field, text });
        } else {
            if unknown_fields.len() >= MAX_UNKNOWN_FIELDS {
                return Err(NarInfoError::TooManyUnknownFields);
            }
            unknown_fields.push((name.to_owned(), text.to_owned()));
        }
    }
    let store_path = required(fields.store_path, "StorePath")?;
    let nar_size = required(fields.nar_size, "NarSize")?;
    Ok(NarInfo {
        store_path: store_path.full_path(store_dir)?,
        url: NarUrl::new(required(fields.url, "URL")?.short()?.to_owned()),
        compression: fields
            .compression
            .map(Value::compression)
            .transpose()?
            .unwrap_or(UNNAMED_COMPRESSION),
        file_hash: fields.file_hash.map(Value::hash).transpose()?.map(FileHash),
        file_size: fields.file_size.map(Value::number).transpose()?,
        nar_hash: required(fields.nar_hash, "NarHash")?.nar_hash()?,
        nar_size: match nar_size.number()? {
            0 => return Err(NarInfoError::ZeroNarSize { line: nar_size.line }),
            size => size,
        },
        references: fields.references.map(Value::references).transpose()?.unwrap_or_default(),
        deriver: fields
            .deriver
            .filter(|value| value.text != UNKNOWN_DERIVER)
            .map(Value::base_name)
            .transpose()?,
        system: fields.system.map(Value::short).transpose()?.map(str::to_owned),
        signatures,
        ca: fields
            .ca
            .filter(|value| !value.text.is_empty())
            .map(Value::content_address)
            .transpose()?,
        unknown_fields,
    })
}
