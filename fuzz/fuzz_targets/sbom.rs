//! Bills of materials of every kind, anybody's: read, held against their schema
//! and profiles, and written in other forms.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::sbom::document::{Document, Spec};
use nix_verify::sbom::outline::Outline;
use nix_verify::sbom::validate;
use nix_verify::sbom::written::{Form, write};

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = Document::read(bytes) else { return };
    let defects = validate::schema_defects(&document).unwrap();
    let _ = validate::references(&document);
    let _ = Outline::of(document.spec, &document.value);
    if !defects.is_empty() || document.spec != Spec::CycloneDx1_7 {
        return;
    }
    for form in
        [Form::Json(Spec::CycloneDx1_6), Form::Xml(Spec::CycloneDx1_7), Form::Spdx, Form::Csv]
    {
        let _ = write(&document.value, form);
    }
});
