//! Faults of NARs, of how they come and of how they are packed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nix_verify::gather::nar::check::NarUnchecked;
use nix_verify::nix::hash::{Hash, HashAlgorithm, Hasher};
use nix_verify::nix::nar::{Event, NarWriter};
use nix_verify::nix::narinfo::NarInfo;
use nix_verify::nix::references::ReferenceScanner;
use nix_verify::nix::store_path::StoreDir;

use crate::bombs::{bomb, gzip_of, part, xz_of, zstd_of};
use crate::gather_support::{Seen, Server, Stream, reset, respond};
use crate::{Fault, cache, cache_server, client, http_options, path};

fn sha256(bytes: &[u8]) -> Hash {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}

/// A NAR of one file of so many bytes.
fn nar(length: usize) -> Vec<u8> {
    let contents: Vec<u8> = (0..length).map(|at| (at * at / 7) as u8).collect();
    let mut writer = NarWriter::new(Vec::new());
    writer.write(Event::File { executable: false, size: length as u64 }).unwrap();
    writer.write(Event::Contents(&contents)).unwrap();
    writer.finish().unwrap()
}

fn claim(compression: &str, nar: &[u8], size: u64) -> NarInfo {
    let text = format!(
        "StorePath: /nix/store/{}\nURL: nar/x\nCompression: {compression}\nNarHash: {}\n\
         NarSize: {size}\nReferences: \n",
        path(),
        sha256(nar),
    );
    NarInfo::parse(text.as_bytes(), &StoreDir::default()).unwrap()
}

/// What the client says about the NAR of such a server.
fn checked(server: &Server, narinfo: &NarInfo) -> String {
    let scanner = ReferenceScanner::new(&[]);
    match client(http_options()).check_nar(&cache(server), narinfo, scanner) {
        Ok(check) if check.flaws.is_empty() => "sound".to_owned(),
        Ok(check) => {
            let flaws: Vec<String> = check.flaws.iter().map(ToString::to_string).collect();
            format!("flawed: {}", flaws.join("; "))
        }
        Err(NarUnchecked::Window(error)) => format!("unchecked, too large: {error}"),
        Err(error) => format!("unchecked: {error}"),
    }
}

fn fault(
    name: &'static str,
    wanted: &'static str,
    compression: &'static str,
    claimed: u64,
    answer: impl Fn(&Seen, &mut dyn Stream) -> io::Result<()> + Clone + Send + Sync + 'static,
) -> Fault {
    let meet = move || {
        let narinfo = claim(compression, &nar(50_000), claimed);
        checked(&cache_server(answer.clone()), &narinfo)
    };
    Fault { name, wanted, meet: Box::new(meet) }
}

/// Serves the same bytes each time.
fn served(
    body: Vec<u8>,
) -> impl Fn(&Seen, &mut dyn Stream) -> io::Result<()> + Clone + Send + Sync + 'static {
    let body = Arc::new(body);
    move |_, stream| respond(stream, 200, &[], &body)
}

/// A stream of xz whose header asks for so large a dictionary (as LZMA2
/// notes it).
fn xz_with_dictionary(bytes: &[u8], noted: u8) -> Vec<u8> {
    let mut packed = xz_of(bytes);
    assert_eq!(packed[14], 0x21, "the LZMA2 filter");
    packed[16] = noted;
    let size = usize::from(packed[12]) * 4;
    let mut crc = flate2::Crc::new();
    crc.update(&packed[12..12 + size]);
    packed[12 + size..16 + size].copy_from_slice(&crc.sum().to_le_bytes());
    packed
}

pub fn faults() -> Vec<Fault> {
    let size = nar(50_000).len() as u64;
    let mut faults = coming(size);
    faults.extend(packing(size));
    faults
}

fn coming(size: u64) -> Vec<Fault> {
    let whole = nar(50_000);
    let (half, dripped, ranged) = (whole.clone(), whole.clone(), whole.clone());
    vec![
        fault("a NAR without a fault", "sound", "none", size, served(whole.clone())),
        fault("a NAR that is not there", "has no 'nar/x'", "none", size, |_, stream| {
            respond(stream, 404, &[], b"")
        }),
        fault("a NAR that is forbidden", "403: forbidden", "none", size, |_, stream| {
            respond(stream, 403, &[], b"")
        }),
        fault("a NAR of one byte a second", "not complete after 6 s", "none", size, {
            move |_, stream| {
                stream.write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")?;
                for byte in &dripped {
                    stream.write_all(&[*byte])?;
                    stream.flush()?;
                    std::thread::sleep(Duration::from_secs(1));
                }
                Ok(())
            }
        }),
        fault("a NAR that always breaks off", "the connection broke", "none", size, {
            move |_, stream| {
                let head = format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n", half.len());
                stream.write_all(head.as_bytes())?;
                stream.write_all(&half[..half.len() / 2])?;
                stream.flush()?;
                std::thread::sleep(Duration::from_millis(50));
                reset()
            }
        }),
        fault(
            "a NAR that breaks off and goes on elsewhere",
            "the connection broke",
            "none",
            size,
            {
                move |seen, stream| {
                    let middle = ranged.len() / 2;
                    if seen.header("range").is_some() {
                        // Another place than was asked for.
                        let range = format!("bytes 7-{}/{}", ranged.len() - 1, ranged.len());
                        return respond(stream, 206, &[("Content-Range", &range)], &ranged[7..]);
                    }
                    let head = format!(
                        "HTTP/1.1 200 X\r\nAccept-Ranges: bytes\r\nETag: \"a\"\r\n\
                     Content-Length: {}\r\n\r\n",
                        ranged.len()
                    );
                    stream.write_all(head.as_bytes())?;
                    stream.write_all(&ranged[..middle])?;
                    stream.flush()?;
                    std::thread::sleep(Duration::from_millis(50));
                    reset()
                }
            },
        ),
        fault("an endless NAR", "longer than", "none", size, |_, stream| {
            stream.write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")?;
            loop {
                stream.write_all(&[0; 4096])?;
            }
        }),
        fault("a NAR of 2^60 bytes", "a limit of this tool", "none", 1 << 60, |_, stream| {
            stream.write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")?;
            loop {
                stream.write_all(&[0; 4096])?;
            }
        }),
        fault("a NAR with a content encoding", "content encoding 'gzip'", "none", size, {
            let packed = gzip_of(whole.as_slice());
            move |_, stream| respond(stream, 200, &[("Content-Encoding", "gzip")], &packed)
        }),
        fault("a NAR that is cut", "the NAR is malformed", "none", size, {
            served(whole[..whole.len() - 16].to_vec())
        }),
        fault("a NAR with something behind it", "longer than", "none", size, {
            served([whole.as_slice(), &[0; 16]].concat())
        }),
    ]
}

fn packing(size: u64) -> Vec<Fault> {
    let whole = nar(50_000);
    let cut = xz_of(whole.as_slice());
    let mut spoilt = xz_of(whole.as_slice());
    let middle = spoilt.len() / 2;
    spoilt[middle] ^= 0x20;
    let window = |log: u8| {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, (log - 10) << 3];
        frame.extend([0x01, 0x00, 0x00]);
        frame
    };
    vec![
        fault("a gzip bomb of 8 GiB", "the NAR is longer than", "gzip", size, {
            // No more of it than a NAR of that size could take.
            let mut bomb = bomb(gzip_of(part()));
            bomb.truncate(size as usize);
            served(bomb)
        }),
        fault("an xz bomb of 8 GiB", "the NAR is longer than", "xz", size, {
            let mut bomb = bomb(xz_of(part()));
            bomb.truncate(size as usize);
            served(bomb)
        }),
        fault("a zstd bomb of 8 GiB", "the NAR is longer than", "zstd", size, {
            let mut bomb = bomb(zstd_of(part()));
            bomb.truncate(size as usize);
            served(bomb)
        }),
        fault("an xz bomb served whole", "bytes, the most that a NAR", "xz", size, {
            served(bomb(xz_of(part())))
        }),
        fault("an xz dictionary of 4 GiB", "too large: the xz stream", "xz", 8 << 30, {
            served(xz_with_dictionary(&whole, 40))
        }),
        fault("an xz dictionary of 96 MiB", "window of more than 67108864", "xz", size, {
            served(xz_with_dictionary(&whole, 29))
        }),
        fault("an xz dictionary of 64 MiB", "sound", "xz", size, {
            served(xz_with_dictionary(&whole, 28))
        }),
        fault("a later xz block with a larger dictionary", "sound", "xz", size, {
            let (one, two) = whole.split_at(9_000);
            served([xz_of(one), xz_with_dictionary(two, 26)].concat())
        }),
        fault("a zstd window of 2 GiB", "too large: the zstd stream", "zstd", 8 << 30, {
            served(window(31))
        }),
        fault("an xz stream that is cut", "is cut off", "xz", size, {
            served(cut[..cut.len() - 9].to_vec())
        }),
        fault("an xz stream that is spoilt", "the xz stream is corrupt", "xz", size, {
            served(spoilt)
        }),
        fault("something behind a gzip stream", "the gzip stream is corrupt", "gzip", size, {
            let mut packed = gzip_of(whole.as_slice());
            packed.extend([7; 40]);
            served(packed)
        }),
        fault("another compression than is said", "is corrupt", "zstd", size, {
            served(gzip_of(whole.as_slice()))
        }),
    ]
}
