//! Two files, or two NARs, held against each other: there is a clue exactly
//! if they differ, nothing is claimed beyond their ends, and the same input
//! gives the same answer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::check::difference::{Context, HostFact, causes, explain};
use nix_verify::nix::nar::check;

/// How the beginning of the input says where the second file starts.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (mode, rest) = bytes.split_first()?;
    let (at, rest) = rest.split_first_chunk::<2>()?;
    let at = usize::from(u16::from_le_bytes(*at)).min(rest.len());
    let (a, b) = rest.split_at(at);
    Some((*mode, a, b))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((mode, a, b)) = split(bytes) else { return };
    let host = vec![HostFact { what: "number of cores", value: "2".to_owned() }];
    let built_at = (mode & 1 == 0).then_some(1_795_377_600);
    let context = Context { built_at, now: 1_795_377_600, host };
    if mode & 2 == 0 {
        // The second as the first with some bytes replaced, to get past magics.
        let patched;
        let b = if mode & 4 == 0 {
            let mut whole = a.to_vec();
            for change in b.chunks_exact(3) {
                let at = usize::from(u16::from_le_bytes([change[0], change[1]]));
                if let Some(byte) = whole.get_mut(at) {
                    *byte = change[2];
                }
            }
            patched = whole;
            &patched
        } else {
            b
        };
        let clues = causes(a, b, &context);
        assert_eq!(clues.is_empty(), a == b);
        assert_eq!(clues, causes(a, b, &context));
        return;
    }
    match explain(a, b, &context) {
        Ok(explanation) => {
            let (first, second) = (check(a).expect("it was read"), check(b).expect("it was read"));
            assert_eq!(explanation.differing == 0, first == second);
            assert_eq!(explanation.class.is_none(), first == second);
            let named = u64::try_from(explanation.entries.len()).expect("a count");
            assert!(named <= explanation.differing && explanation.differing <= explanation.compared);
        }
        Err(error) => {
            let broken = match error.which {
                nix_verify::check::difference::Which::Claimed => check(a).is_err(),
                nix_verify::check::difference::Which::Ours => check(b).is_err(),
            };
            assert!(broken);
        }
    }
});
