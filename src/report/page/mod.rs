//! Reports as a page: one HTML file that needs nothing else.
//!
//! Everything is in the file, and its content security policy lets it load
//! nothing and run no script but its own, whatever the reports contain. The
//! page can be read without the script, which only adds search and filters.

mod bill;
mod cache;
mod findings;
mod lock;
mod overview;
mod parts;
mod rebuild;
mod saved;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

pub use saved::{Bill, Content, MAX_SHEETS, Saved, SavedError};

use parts::printed;
use saved::Word;

use super::text::printable;

/// How the page looks.
const STYLE: &str = include_str!("style.css");

/// Search and filters.
const SCRIPT: &str = include_str!("script.js");

/// A report or bill on the page.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// What it is called: the file's name.
    pub name: String,
    /// What it says.
    pub content: Content,
}

impl Sheet {
    /// What its part of the page is called.
    fn heading(&self) -> String {
        match &self.content {
            Content::Report(report) => printable(&report.command).into_owned(),
            Content::Bill(_) => "sbom".to_owned(),
        }
    }

    fn word(&self) -> Option<Word> {
        match &self.content {
            Content::Report(report) => Some(report.verdict.result),
            Content::Bill(_) => None,
        }
    }
}

/// The page.
#[must_use]
pub fn render(sheets: &[Sheet]) -> String {
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        fingerprint(STYLE),
        fingerprint(SCRIPT)
    );
    let worst = sheets.iter().filter_map(Sheet::word).min();
    let title = match worst {
        Some(word) => format!("{}: verify", overview::word(word)),
        None => "verify".to_owned(),
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (overview::head(sheets, worst))
                main {
                    (overview::cards(sheets))
                    (findings::all(sheets))
                    @for (at, sheet) in sheets.iter().enumerate() { (part(at, sheet)) }
                }
                (foot(sheets))
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// What one report or bill has to show.
fn part(at: usize, sheet: &Sheet) -> Markup {
    html! {
        section.part id={ "part-" (at) } {
            h2 { (sheet.heading()) " " span.file { (printed(&sheet.name)) } }
            @match &sheet.content {
                Content::Report(report) => {
                    @match report.command.as_str() {
                        "rebuild" => { (rebuild::part(report)) }
                        "cache" => { (cache::part(report)) }
                        "lock" => { (lock::part(report)) }
                        _ => {}
                    }
                    // The paths of a cache are listed with what each cache says.
                    @if report.command != "cache" { (overview::subjects(report)) }
                    (overview::open(report))
                }
                Content::Bill(bill) => { (bill::part(bill)) }
            }
        }
    }
}

/// Who made the page, and of what.
fn foot(sheets: &[Sheet]) -> Markup {
    let reports = sheets.iter().filter_map(|sheet| match &sheet.content {
        Content::Report(report) => Some((sheet, report)),
        Content::Bill(_) => None,
    });
    html! {
        footer {
            p { "Made by verify " (env!("CARGO_PKG_VERSION")) ". A page repeats what reports say; it proves nothing by itself." }
            ul {
                @for (sheet, report) in reports {
                    li {
                        (printed(&sheet.name)) ": " (printed(&report.tool.name)) " " (printed(&report.tool.version))
                        @if let Some(run) = &report.run {
                            ", " (printed(&run.started)) ", " (parts::duration(run.milliseconds))
                        }
                        ", exit code " (report.verdict.exit_code)
                    }
                }
            }
        }
    }
}

/// What a content security policy calls an inline style or script by.
fn fingerprint(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}
