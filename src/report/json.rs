//! The JSON renderer.
//!
//! Two spaces of indent, fields in the order of the schema, a line feed at
//! the end. Characters that could act on a terminal leave as JSON escapes, so
//! the text is lossless and still safe to show.

use std::io::{self, Write};

use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use super::envelope::Envelope;
use super::text::is_unsafe;
use super::{Manner, Report};

/// Writes a sorted report, piece by piece as it is made: a report about a
/// hundred thousand paths is never held as text. The pieces are small, so
/// `out` should gather them.
///
/// # Errors
/// What `out` refused, with its own kind. Keys that JSON does not have
/// (`InvalidData`); never for what commands report.
pub fn write(report: &Report, manner: &Manner, out: &mut dyn Write) -> io::Result<()> {
    Ok(write_pretty(&Envelope::new(report, manner), &mut *out)?)
}

/// Any value, indented, with a line feed at the end, and nothing unsafe raw.
///
/// # Errors
/// Keys that JSON does not have.
pub(super) fn pretty(value: &impl serde::Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write_pretty(value, &mut bytes)?;
    Ok(bytes)
}

fn write_pretty<W: Write>(value: &impl serde::Serialize, mut out: W) -> serde_json::Result<()> {
    let formatter = Careful(PrettyFormatter::with_indent(b"  "));
    value.serialize(&mut Serializer::with_formatter(&mut out, formatter))?;
    out.write_all(b"\n").map_err(serde_json::Error::io)
}

/// Pretty printing in which no unsafe character is written raw. Control
/// characters of ASCII but DEL are escaped by `serde_json` itself.
struct Careful(PrettyFormatter<'static>);

impl Formatter for Careful {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + Write,
    {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_unsafe) {
            let (safe, tail) = rest.split_at(at);
            writer.write_all(safe.as_bytes())?;
            let mut characters = tail.chars();
            if let Some(character) = characters.next() {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}
