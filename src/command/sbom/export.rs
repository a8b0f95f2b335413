//! `verify sbom export`.

use std::collections::BTreeSet;
use std::io::{self, Write};

use clap::{Args, ValueEnum};

use super::super::cli::EXIT_CODES;
use super::super::deliver::show;
use super::super::policy::PolicyOptions;
use super::super::product::{Product, ProductOptions};
use super::super::{Environment, ToolError};
use super::ProfileName;
use super::make::{BillArgs, Made, make};
use crate::check::Source;
use crate::check::sbom::check;
use crate::report::{Progress, Report};
use crate::sbom::bill::Bill;
use crate::sbom::cyclonedx::{Document, Statement, Version};
use crate::sbom::document::Spec;
use crate::sbom::profile::Profile;
use crate::sbom::written::{self, Form};

const EXAMPLES: &str = "\
Examples:
  What is in a closure, from the local store:
    verify sbom export /run/current-system --local-store --output system.cdx.json
  Without building or downloading, from what caches say of it:
    verify sbom export /nix/store/HASH-hello --cache https://cache.nixos.org
  Everything that a derivation is built from, with licences:
    nix-env -f '<nixpkgs>' -qa --json --meta --out-path > meta.json
    verify sbom export ./app.drv --scope build --meta meta.json
  With the crates, packages and modules inside sources and programs:
    verify sbom export ./app.drv --scope build --local-store --vendored
  In a Nix sandbox, from the listing of exportReferencesGraph:
    verify sbom export ./closure --spec spdx-2.3
  With what was proven of it:
    verify rebuild ./app.drv --closure --format json --output rebuild.json
    verify sbom export ./app.drv --scope build --evidence rebuild.json
";

/// What `verify sbom export` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
pub struct ExportArgs {
    /// What the bill is about, and what is known of it.
    #[command(flatten)]
    pub bill: BillArgs,
    /// Who makes the document: 'NAME' or 'NAME <MAIL>'; may be repeated
    #[arg(long, value_name = "NAME", value_parser = party, help_heading = "Content")]
    pub author: Vec<Party>,
    /// Who supplies what the document is about: 'NAME' or 'NAME <URL>'
    #[arg(long, value_name = "NAME", value_parser = party, help_heading = "Content")]
    pub supplier: Option<Party>,
    /// The format: cyclonedx-1.7, 1.6, 1.5, 1.4 or 1.3, spdx-2.3 or csv
    #[arg(
        long, value_enum, value_name = "FORMAT", default_value_t = SpecName::CycloneDx1_7,
        hide_possible_values = true, help_heading = "Content"
    )]
    pub spec: SpecName,
    /// json or xml (CycloneDX)
    #[arg(
        long, value_enum, value_name = "ENCODING", default_value_t = Encoding::Json,
        hide_possible_values = true, help_heading = "Content"
    )]
    pub encoding: Encoding,
    /// Fields to ask for: cisa-2026, bsi-2.1 or ntia-2021 (docs/profiles); may be repeated
    #[arg(long = "profile", value_enum, value_name = "PROFILE", hide_possible_values = true)]
    pub profiles: Vec<ProfileName>,
    /// What the document has to meet.
    #[command(flatten)]
    pub policy: PolicyOptions,
    /// Where the document goes.
    #[command(flatten)]
    pub product: ProductOptions,
}

/// The formats, as an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SpecName {
    /// CycloneDX 1.7
    #[value(name = "cyclonedx-1.7", alias = "1.7")]
    CycloneDx1_7,
    /// CycloneDX 1.6
    #[value(name = "cyclonedx-1.6", alias = "1.6")]
    CycloneDx1_6,
    /// CycloneDX 1.5
    #[value(name = "cyclonedx-1.5", alias = "1.5")]
    CycloneDx1_5,
    /// CycloneDX 1.4
    #[value(name = "cyclonedx-1.4", alias = "1.4")]
    CycloneDx1_4,
    /// CycloneDX 1.3
    #[value(name = "cyclonedx-1.3", alias = "1.3")]
    CycloneDx1_3,
    /// SPDX 2.3
    #[value(name = "spdx-2.3", alias = "2.3")]
    Spdx2_3,
    /// A table
    Csv,
}

/// How a document is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    /// JSON
    Json,
    /// XML
    Xml,
}

/// Somebody, with an address if one is given.
pub type Party = (String, Option<String>);

/// Reads `NAME` or `NAME <ADDRESS>`.
fn party(text: &str) -> Result<Party, String> {
    let (name, address) = match text.split_once('<') {
        Some((name, rest)) => {
            let address = rest.strip_suffix('>').ok_or("there is no '>' at the end")?;
            (name.trim(), Some(address.trim().to_owned()))
        }
        None => (text.trim(), None),
    };
    if name.is_empty() || text.chars().any(char::is_control) {
        return Err("expected NAME or 'NAME <ADDRESS>'".to_owned());
    }
    Ok((name.to_owned(), address))
}

/// Writes the bill.
///
/// # Errors
/// An option that makes no sense, or something that cannot be read or written.
pub(in super::super) fn run(
    args: &ExportArgs,
    environment: &Environment,
    progress: &Progress,
) -> Result<(Exported, Report), ToolError> {
    let form = form(args)?;
    if !args.policy.policies.is_empty() && !matches!(form, Form::Json(_) | Form::Spdx) {
        return Err(ToolError::Usage(format!("--policy reads no {form}: write JSON")));
    }
    let Made { bill, about } = make(&args.bill, environment, progress)?;
    let statement = Statement { authors: args.author.clone(), supplier: args.supplier.clone() };
    let mut product = Exported::new(bill, statement, form)?;
    let mut profiles: Vec<Profile> = args.profiles.iter().map(|name| (*name).into()).collect();
    profiles.sort();
    profiles.dedup();
    let checked = (!profiles.is_empty()).then(|| {
        let name = args.product.output.as_deref().map_or_else(|| "the document".to_owned(), show);
        let bytes = product.bytes()?;
        check(&Source::new(name.as_str(), bytes), bytes, &profiles)
            .map_err(|error| ToolError::failed("check the document", error))
    });
    let checked = checked.transpose()?;
    let report = about.report(&product.bill, form.to_string(), &product.left_out, checked);
    Ok((product, report))
}

/// A bill, ready to be written down.
pub(in super::super) struct Exported {
    bill: Bill,
    statement: Statement,
    form: Form,
    /// The document, where it is not written while it is made.
    whole: Option<Vec<u8>>,
    /// What the form cannot say.
    left_out: BTreeSet<String>,
}

impl Exported {
    fn new(bill: Bill, statement: Statement, form: Form) -> Result<Self, ToolError> {
        let mut exported = Self { bill, statement, form, whole: None, left_out: BTreeSet::new() };
        if exported.streamed().is_none() {
            let newest = Document::new(&exported.bill, Version::V1_7, &exported.statement);
            let value = serde_json::to_value(&newest).map_err(|error| exported.failed(error))?;
            let written = written::write(&value, form).map_err(|error| exported.failed(error))?;
            (exported.whole, exported.left_out) = (Some(written.bytes), written.left_out);
        }
        Ok(exported)
    }

    fn failed(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ToolError {
        ToolError::failed(format!("write the bill as {}", self.form), error)
    }

    /// The version, where it is written while it is made.
    const fn streamed(&self) -> Option<Version> {
        match self.form {
            Form::Json(Spec::CycloneDx1_7) => Some(Version::V1_7),
            Form::Json(Spec::CycloneDx1_6) => Some(Version::V1_6),
            _ => None,
        }
    }

    /// The document, which is held from then on.
    ///
    /// # Errors
    /// Whatever cannot be written in its form.
    pub(in super::super) fn bytes(&mut self) -> Result<&[u8], ToolError> {
        if self.whole.is_none() {
            let mut bytes = Vec::new();
            self.write(&mut bytes).map_err(|error| self.failed(error))?;
            self.whole = Some(bytes);
        }
        Ok(self.whole.as_deref().unwrap_or_default())
    }
}

impl Product for Exported {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(whole) = &self.whole {
            return out.write_all(whole);
        }
        let version = self.streamed().unwrap_or(Version::V1_7);
        let document = Document::new(&self.bill, version, &self.statement);
        serde_json::to_writer_pretty(&mut *out, &document)?;
        out.write_all(b"\n")
    }
}

fn form(args: &ExportArgs) -> Result<Form, ToolError> {
    let spec = match args.spec {
        SpecName::CycloneDx1_7 => Spec::CycloneDx1_7,
        SpecName::CycloneDx1_6 => Spec::CycloneDx1_6,
        SpecName::CycloneDx1_5 => Spec::CycloneDx1_5,
        SpecName::CycloneDx1_4 => Spec::CycloneDx1_4,
        SpecName::CycloneDx1_3 => Spec::CycloneDx1_3,
        SpecName::Spdx2_3 | SpecName::Csv if args.encoding == Encoding::Xml => {
            return Err(ToolError::Usage(
                "--encoding xml is for CycloneDX: SPDX 2.3 is written as JSON, a table as CSV"
                    .to_owned(),
            ));
        }
        SpecName::Spdx2_3 => return Ok(Form::Spdx),
        SpecName::Csv => return Ok(Form::Csv),
    };
    Ok(match args.encoding {
        Encoding::Json => Form::Json(spec),
        Encoding::Xml => Form::Xml(spec),
    })
}
