//! Memory stays bounded whatever a cache serves. One test alone in its
//! process, since the peak is that of the process.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests state what they expect and may stop at the first surprise"
)]

use std::io::{Read, Write};
use std::path::Path;

use nix_verify::gather::cache::{CacheClient, CacheUrl};
use nix_verify::gather::http::credentials::Netrc;
use nix_verify::gather::http::{HttpClient, HttpOptions};
use nix_verify::gather::nar::download::NarFetchError;
use nix_verify::nix::nar;
use nix_verify::nix::narinfo::{Compression, NarInfo};
use nix_verify::nix::store_path::StoreDir;

/// Length of the one file in the NAR.
const SIZE: u64 = 128 << 20;

/// Most memory a download may take beyond what the process has before.
const LIMIT: u64 = 96 << 20;

/// What stands before and after the contents.
fn framing() -> (Vec<u8>, Vec<u8>) {
    let word = |out: &mut Vec<u8>, word: &str| {
        out.extend_from_slice(&u64::try_from(word.len()).unwrap().to_le_bytes());
        out.extend_from_slice(word.as_bytes());
        out.resize(out.len().next_multiple_of(8), 0);
    };
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for text in ["nix-archive-1", "(", "type", "regular", "contents"] {
        word(&mut head, text);
    }
    head.extend_from_slice(&SIZE.to_le_bytes());
    word(&mut tail, ")");
    (head, tail)
}

fn whole_nar() -> impl Read {
    let (head, tail) = framing();
    std::io::Cursor::new(head)
        .chain(std::io::repeat(0).take(SIZE))
        .chain(std::io::Cursor::new(tail))
}

/// Writes the NAR packed, with the largest window that is allowed.
fn pack(compression: Compression, file: &Path) {
    let mut out = std::fs::File::create(file).unwrap();
    let mut nar = whole_nar();
    match compression {
        Compression::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            std::io::copy(&mut nar, &mut encoder).unwrap();
            let mut packed = encoder.finish().unwrap();
            // The dictionary the header asks for: 64 MiB, as by `xz -9`.
            assert_eq!(packed[14], 0x21, "the LZMA2 filter");
            packed[16] = 28;
            let size = usize::from(packed[12]) * 4;
            let mut crc = flate2::Crc::new();
            crc.update(&packed[12..12 + size]);
            packed[12 + size..16 + size].copy_from_slice(&crc.sum().to_le_bytes());
            out.write_all(&packed).unwrap();
        }
        Compression::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(out, 1).unwrap();
            encoder.window_log(26).unwrap();
            std::io::copy(&mut nar, &mut encoder).unwrap();
            encoder.finish().unwrap();
        }
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
            std::io::copy(&mut nar, &mut encoder).unwrap();
            encoder.finish().unwrap();
        }
        Compression::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(out, bzip2::Compression::best());
            std::io::copy(&mut nar, &mut encoder).unwrap();
            encoder.finish().unwrap();
        }
        Compression::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(out);
            std::io::copy(&mut nar, &mut encoder).unwrap();
            encoder.finish().unwrap();
        }
        Compression::Brotli => {
            let mut encoder = brotli::CompressorWriter::new(out, 1 << 16, 1, 24);
            std::io::copy(&mut nar, &mut encoder).unwrap();
        }
        Compression::None | Compression::Lzip => {
            std::io::copy(&mut nar, &mut out).unwrap();
        }
    }
}

/// A figure of /proc/self/status in bytes.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn downloads_take_little_memory() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("nar")).unwrap();
    let (nar_hash, nar_size) = nar::check(whole_nar()).unwrap();
    let options = HttpOptions::default();
    let client = CacheClient::new(HttpClient::new(options), Netrc::default(), StoreDir::default());
    let cache = CacheUrl::parse(directory.path().to_str().unwrap()).unwrap();
    for compression in Compression::ALL {
        if compression == Compression::Lzip {
            // By the same decoder as xz.
            continue;
        }
        let file = directory.path().join("nar/x");
        pack(compression, &file);
        let text = |size: u64| {
            format!(
                "StorePath: /nix/store/00000000000000000000000000000000-x\nURL: nar/x\n\
                 Compression: {compression}\nNarHash: {nar_hash}\nNarSize: {size}\nReferences: \n"
            )
        };
        let parse = |size| NarInfo::parse(text(size).as_bytes(), &StoreDir::default()).unwrap();
        // Forgets the peak so far.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = status("VmRSS");
        let download = client.download_nar(&cache, &parse(nar_size), &mut std::io::sink());
        assert_eq!(download.unwrap().nar_hash, nar_hash);
        let bomb = client.download_nar(&cache, &parse(1 << 20), &mut std::io::sink());
        let error = bomb.unwrap_err();
        assert!(
            matches!(error, NarFetchError::TooLong(_) | NarFetchError::FileTooLong(_)),
            "{compression}: {error}"
        );
        let taken = status("VmHWM").saturating_sub(before);
        println!("{compression}: {} KiB beyond {} KiB", taken >> 10, before >> 10);
        assert!(taken < LIMIT, "{compression}: {taken} bytes");
    }
}
