//! The ATerm text of a derivation: a strict reader that keeps the order and
//! the place of everything, and the writer.
//!
//! Follows `src/libstore/derivations.cc` (`parseDerivation`, `unparse`). The
//! grammar does not nest, so nothing here recurses. What [`Term::parse`]
//! accepts, [`Term::to_bytes`] prints back byte for byte: every string has
//! exactly the escapes Nix writes. That lists are sorted, and what they hold,
//! is for [`super::Derivation::parse`] to judge.

use std::borrow::Cow;

use super::error::{Defect, DerivationError};

/// Longest text that is read. The largest derivations of nixpkgs have a few
/// megabytes; memory in use is a small multiple of this.
pub const MAX_DRV_LEN: usize = 32 << 20;

/// Most items of all lists together. A whole NixOS system has some 10⁵
/// derivations, so no honest one comes near.
pub const MAX_ITEMS: usize = 1 << 20;

/// A string of the text with the place of its opening quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a> {
    /// Offset of the opening quote.
    pub offset: usize,
    /// The bytes meant, escapes resolved.
    pub bytes: Cow<'a, [u8]>,
}

/// One output as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermOutput<'a> {
    /// Its name.
    pub name: Text<'a>,
    /// Its path, or empty.
    pub path: Text<'a>,
    /// Method and algorithm, or empty.
    pub algorithm: Text<'a>,
    /// The hash in base16, `impure`, or empty.
    pub hash: Text<'a>,
}

/// One input derivation as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermInput<'a> {
    /// The path; in the texts that are hashed, a hash modulo in base16.
    pub key: Text<'a>,
    /// The outputs used.
    pub outputs: Vec<Text<'a>>,
}

/// The text of a derivation, taken apart and nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term<'a> {
    /// The outputs.
    pub outputs: Vec<TermOutput<'a>>,
    /// The input derivations.
    pub input_drvs: Vec<TermInput<'a>>,
    /// The other inputs.
    pub input_srcs: Vec<Text<'a>>,
    /// The platform, which Nix writes without escapes.
    pub platform: Text<'a>,
    /// The builder.
    pub builder: Text<'a>,
    /// Its arguments.
    pub args: Vec<Text<'a>>,
    /// The environment.
    pub env: Vec<(Text<'a>, Text<'a>)>,
}

impl<'a> Term<'a> {
    /// Takes a text apart.
    ///
    /// # Errors
    /// Anything that Nix would not have written like this, with its offset.
    pub fn parse(text: &'a [u8]) -> Result<Self, DerivationError> {
        if text.len() > MAX_DRV_LEN {
            return Err(DerivationError::new(MAX_DRV_LEN, Defect::TooLong(text.len())));
        }
        let mut reader = Reader { text, at: 0, items: 0 };
        if text.starts_with(b"DrvWithVersion(") {
            return Err(reader.error(Defect::DynamicDerivation));
        }
        reader.expect(b"Derive(", "'Derive('")?;
        let outputs = reader.list("outputs", |reader| {
            reader.expect(b"(", "'(' before an output")?;
            let name = reader.plain("an output name")?;
            reader.comma()?;
            let path = reader.plain("an output path")?;
            reader.comma()?;
            let algorithm = reader.plain("an output hash algorithm")?;
            reader.comma()?;
            let hash = reader.plain("an output hash")?;
            reader.expect(b")", "')' after an output")?;
            Ok(TermOutput { name, path, algorithm, hash })
        })?;
        reader.comma()?;
        let input_drvs = reader.list("input derivations", |reader| {
            reader.expect(b"(", "'(' before an input derivation")?;
            let key = reader.plain("the path of an input derivation")?;
            reader.comma()?;
            let outputs = reader.list("outputs of an input derivation", |reader| {
                reader.plain("an output name of an input derivation")
            })?;
            reader.expect(b")", "')' after an input derivation")?;
            Ok(TermInput { key, outputs })
        })?;
        reader.comma()?;
        let input_srcs =
            reader.list("input sources", |reader| reader.plain("the path of an input source"))?;
        reader.comma()?;
        let platform = reader.plain("the platform")?;
        reader.comma()?;
        let builder = reader.string()?;
        reader.comma()?;
        let args = reader.list("arguments", Reader::string)?;
        reader.comma()?;
        let env = reader.list("environment variables", |reader| {
            reader.expect(b"(", "'(' before an environment variable")?;
            let name = reader.string()?;
            reader.comma()?;
            let value = reader.string()?;
            reader.expect(b")", "')' after an environment variable")?;
            Ok((name, value))
        })?;
        reader.expect(b")", "')' at the end")?;
        match text.len().saturating_sub(reader.at) {
            0 => Ok(Self { outputs, input_drvs, input_srcs, platform, builder, args, env }),
            trailing => Err(reader.error(Defect::Trailing(trailing))),
        }
    }

    /// The text again.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.raw(b"Derive(");
        writer.list(&self.outputs, |writer, output| {
            writer.output(
                &output.name.bytes,
                &output.path.bytes,
                &output.algorithm.bytes,
                &output.hash.bytes,
            );
        });
        writer.raw(b",");
        writer.list(&self.input_drvs, |writer, input| {
            writer.raw(b"(");
            writer.plain(&input.key.bytes);
            writer.raw(b",");
            writer.list(&input.outputs, |writer, name| writer.plain(&name.bytes));
            writer.raw(b")");
        });
        writer.raw(b",");
        writer.list(&self.input_srcs, |writer, path| writer.plain(&path.bytes));
        writer.raw(b",");
        writer.plain(&self.platform.bytes);
        writer.raw(b",");
        writer.string(&self.builder.bytes);
        writer.raw(b",");
        writer.list(&self.args, |writer, arg| writer.string(&arg.bytes));
        writer.raw(b",");
        writer.list(&self.env, |writer, (name, value)| writer.pair(&name.bytes, &value.bytes));
        writer.raw(b")");
        writer.finish()
    }
}

/// A place in the text.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    /// List items read so far.
    items: usize,
}

impl<'a> Reader<'a> {
    const fn error(&self, defect: Defect) -> DerivationError {
        DerivationError::new(self.at, defect)
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    const fn advance(&mut self, by: usize) {
        self.at = self.at.saturating_add(by);
    }

    /// Steps over `token`; the error points at the first byte that differs.
    fn expect(&mut self, token: &[u8], what: &'static str) -> Result<(), DerivationError> {
        for &wanted in token {
            match self.rest().first() {
                Some(&found) if found == wanted => self.advance(1),
                Some(&found) => {
                    return Err(self.error(Defect::Unexpected { found, expected: what }));
                }
                None => return Err(self.error(Defect::Ended(what))),
            }
        }
        Ok(())
    }

    fn comma(&mut self) -> Result<(), DerivationError> {
        self.expect(b",", "','")
    }

    fn list<T>(
        &mut self,
        what: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<T, DerivationError>,
    ) -> Result<Vec<T>, DerivationError> {
        self.expect(b"[", "'[' before a list")?;
        let mut items = Vec::new();
        if self.rest().first() == Some(&b']') {
            self.advance(1);
            return Ok(items);
        }
        loop {
            if self.items == MAX_ITEMS {
                return Err(self.error(Defect::TooManyItems(what)));
            }
            self.items += 1;
            items.push(item(self)?);
            match self.rest().first() {
                Some(b',') => self.advance(1),
                Some(b']') => {
                    self.advance(1);
                    return Ok(items);
                }
                Some(&found) => {
                    let expected = "',' or ']' in a list";
                    return Err(self.error(Defect::Unexpected { found, expected }));
                }
                None => return Err(self.error(Defect::Ended("',' or ']' in a list"))),
            }
        }
    }

    /// A string that Nix writes without escapes.
    fn plain(&mut self, what: &'static str) -> Result<Text<'a>, DerivationError> {
        let offset = self.at;
        self.expect(b"\"", "'\"' before a string")?;
        let rest = self.rest();
        let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
        self.advance(length.unwrap_or(rest.len()));
        match self.rest().first() {
            Some(b'"') => self.advance(1),
            Some(_) => return Err(self.error(Defect::EscapeInPlain(what))),
            None => return Err(self.error(Defect::Ended("'\"' after a string"))),
        }
        let bytes = rest.get(..length.unwrap_or_default()).unwrap_or_default();
        Ok(Text { offset, bytes: Cow::Borrowed(bytes) })
    }

    /// A string that Nix writes with escapes.
    fn string(&mut self) -> Result<Text<'a>, DerivationError> {
        let offset = self.at;
        self.expect(b"\"", "'\"' before a string")?;
        let mut owned: Option<Vec<u8>> = None;
        loop {
            let rest = self.rest();
            let length = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | b'\t'))
                .unwrap_or(rest.len());
            let run = rest.get(..length).unwrap_or_default();
            self.advance(length);
            match rest.get(length) {
                Some(b'"') => {
                    self.advance(1);
                    let bytes = match owned {
                        None => Cow::Borrowed(run),
                        Some(mut bytes) => {
                            bytes.extend_from_slice(run);
                            Cow::Owned(bytes)
                        }
                    };
                    return Ok(Text { offset, bytes });
                }
                Some(b'\\') => {
                    let byte = match rest.get(length.saturating_add(1)) {
                        Some(b'n') => b'\n',
                        Some(b'r') => b'\r',
                        Some(b't') => b'\t',
                        Some(&byte @ (b'"' | b'\\')) => byte,
                        Some(&byte) => return Err(self.error(Defect::NeedlessEscape(byte))),
                        None => {
                            self.advance(1);
                            return Err(self.error(Defect::Ended("an escaped byte")));
                        }
                    };
                    self.advance(2);
                    let bytes = owned.get_or_insert_default();
                    bytes.extend_from_slice(run);
                    bytes.push(byte);
                }
                Some(&byte) => return Err(self.error(Defect::MissingEscape(byte))),
                None => return Err(self.error(Defect::Ended("'\"' after a string"))),
            }
        }
    }
}

/// Writes what [`Term::parse`] reads.
#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Without escapes.
    pub(super) fn plain(&mut self, bytes: &[u8]) {
        self.raw(b"\"");
        self.raw(bytes);
        self.raw(b"\"");
    }

    /// With the escapes Nix writes.
    pub(super) fn string(&mut self, mut bytes: &[u8]) {
        self.raw(b"\"");
        while let Some(length) =
            bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | b'\t'))
        {
            let (run, rest) = bytes.split_at(length);
            self.raw(run);
            let Some((special, rest)) = rest.split_first() else { break };
            self.raw(match special {
                b'\n' => b"\\n",
                b'\r' => b"\\r",
                b'\t' => b"\\t",
                b'"' => b"\\\"",
                _ => b"\\\\",
            });
            bytes = rest;
        }
        self.raw(bytes);
        self.raw(b"\"");
    }

    pub(super) fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut item: impl FnMut(&mut Self, T),
    ) {
        self.raw(b"[");
        for (index, value) in items.into_iter().enumerate() {
            if index > 0 {
                self.raw(b",");
            }
            item(self, value);
        }
        self.raw(b"]");
    }

    pub(super) fn output(&mut self, name: &[u8], path: &[u8], algorithm: &[u8], hash: &[u8]) {
        self.raw(b"(");
        self.plain(name);
        for field in [path, algorithm, hash] {
            self.raw(b",");
            self.plain(field);
        }
        self.raw(b")");
    }

    pub(super) fn pair(&mut self, name: &[u8], value: &[u8]) {
        self.raw(b"(");
        self.string(name);
        self.raw(b",");
        self.string(value);
        self.raw(b")");
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
