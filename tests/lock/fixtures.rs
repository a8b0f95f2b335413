//! Fixtures that say by their place what they are: `tests/fixtures/lock/<rule>/`
//! holds locks in which that rule finds something (`fail-*`) and such in which it
//! does not (`pass-*`).

use super::*;

#[test]
fn each_directory_holds_what_its_name_says() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lock");
    let mut directories = 0;
    for directory in place.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
        if !directory.is_dir() {
            continue;
        }
        directories += 1;
        let rule = directory.file_name().unwrap().to_str().unwrap();
        let (mut failing, mut passing) = (0, 0);
        for file in directory.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let text = std::fs::read_to_string(&file).unwrap();
            let (_, report) = audit_text(&text, &[]);
            let fired = rules(&report).contains(&rule);
            if name.starts_with("fail-") {
                failing += 1;
                assert!(fired, "{}: {report}", file.display());
            } else {
                assert!(name.starts_with("pass-"), "{}: fail-* or pass-*", file.display());
                passing += 1;
                assert!(!fired, "{}: {report}", file.display());
            }
        }
        assert!(failing > 0 && passing > 0, "{rule}: {failing} failing, {passing} passing");
    }
    assert!(directories > 0);
}
