//! A bill of materials: what is in it, under which licences, component by
//! component.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::parts::{count, printed, table};
use super::saved::{Bill, Component};

/// Licences and kinds that are counted apart; the rest is one row.
const COUNTED: usize = 12;

/// The property that carries a store path, as nixpkgs names it.
const STORE_PATH: &str = "nix:store_path";

/// The card of a bill.
pub(super) fn card(bill: &Bill) -> Markup {
    html! {
        p.sentence { (printed(&bill.about)) }
        p { (count(bill.components.len(), "component", "components")) ", " (bill.edges) " dependencies" }
        p.dim {
            (printed(&bill.format))
            @if let Some(created) = &bill.created { ", " (printed(created)) }
        }
    }
}

/// The part of a bill.
pub(super) fn part(bill: &Bill) -> Markup {
    let licences = counted(bill, |one| &one.licences, "none said");
    let kinds = counted(bill, |one| &one.kind, "none said");
    let rows = html! { @for component in &bill.components { (row(component)) } };
    html! {
        div.columns {
            (counts("licence", &licences))
            (counts("type", &kinds))
        }
        h3 { (count(bill.components.len(), "component", "components")) }
        (table("components", &[("name", ""), ("version", ""), ("licence", ""), ("package URL", "")], &rows))
    }
}

fn row(component: &Component) -> Markup {
    html! {
        tr title=[component.property(STORE_PATH).map(crate::report::text::printable)] {
            td { (printed(&component.name)) }
            td { (printed(&component.version)) }
            td { (printed(&component.licences)) }
            td { code { (printed(&component.purl)) } }
        }
    }
}

/// How often each value of a field stands in the bill, the commonest first.
fn counted<'a>(
    bill: &'a Bill,
    field: impl Fn(&'a Component) -> &'a str,
    none: &'static str,
) -> Vec<(&'a str, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for component in &bill.components {
        let value = field(component);
        *counts.entry(if value.is_empty() { none } else { value }).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(value, count)| (std::cmp::Reverse(*count), *value));
    let rest: usize = counts.iter().skip(COUNTED).map(|(_, count)| count).sum();
    counts.truncate(COUNTED);
    if rest > 0 {
        counts.push(("others", rest));
    }
    counts
}

fn counts(what: &str, counts: &[(&str, usize)]) -> Markup {
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(1);
    html! {
        table.counts {
            thead { tr { th scope="col" { (what) } th scope="col" { "components" } th {} } }
            tbody {
                @for (value, number) in counts {
                    tr {
                        td { (printed(value)) }
                        td.number { (number) }
                        td {
                            svg.share viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" {
                                rect x="0" y="0" width=(number * 100 / most) height="8" {}
                            }
                        }
                    }
                }
            }
        }
    }
}
