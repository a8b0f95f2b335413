//! A reference is found, and replaced, exactly where its 32 bytes stand.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use nix_verify::nix::references::{HashRewriter, ReferenceScanner, hash_part_of};
use nix_verify::nix::store_path::StorePath;

fuzz_target!(|bytes: &[u8]| {
    let paths: [StorePath; 3] = [
        "00000000000000000000000000000000-a",
        "01010101010101010101010101010101-b",
        "c5asc3lmr2jn3f0m2y77cf48078qb9mg-c",
    ]
    .map(|path| path.parse().expect("a store path"));
    let (chunk, stream) = match bytes {
        [first, rest @ ..] => (usize::from(*first).max(1), rest),
        [] => return,
    };
    let mut scanner = ReferenceScanner::new(&paths);
    stream.chunks(chunk).for_each(|chunk| scanner.feed(chunk));
    for path in &paths {
        let part = hash_part_of(path);
        let there = stream.windows(part.len()).any(|window| window == part);
        assert_eq!(scanner.found().contains(path), there);

        let mut rewriter = HashRewriter::zeroing(Vec::new(), path);
        for chunk in stream.chunks(chunk) {
            rewriter.write_all(chunk).expect("memory is writable");
        }
        let (rewritten, offsets) = rewriter.finish().expect("memory is writable");
        assert!(!rewritten.windows(part.len()).any(|window| window == part));
        assert_eq!(!offsets.is_empty(), there);
        let mut restored = rewritten;
        for offset in offsets.iter() {
            let offset = usize::try_from(offset).expect("an offset in the stream");
            let place = &mut restored[offset..offset + part.len()];
            assert_eq!(place, [0; 32]);
            place.copy_from_slice(&part);
        }
        assert_eq!(restored, stream);
    }
});
