//! Archives within objects, read as streams: tar in any compression, and zip
//! (jars, wheels) from memory.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::DeflateDecoder;

use crate::gather::nar::compression;
use crate::nix::compression::Compression;
use crate::sbom::vendored::{Place, Scanner};

/// Archives within archives that are looked into: a jar in a jar in a tarball.
const MAX_ARCHIVES: usize = 4;

/// Bytes that the archives of one object may unpack to. The largest genuine
/// source tarballs have some ten billion; a small bomb would unpack for ever.
const MAX_UNPACKED: u64 = 16 << 30;

/// Bytes of a zip archive, which is held whole, for its directory comes last.
const MAX_ZIP: u64 = 256 << 20;

/// Members of a zip archive.
const MAX_MEMBERS: u64 = 1 << 20;

/// Bytes of a long name or an extended header of a tar archive.
const MAX_TAR_HEADER: u64 = 1 << 20;

/// Bytes of a tar archive's block.
const BLOCK: usize = 512;

/// What each kind of compressed file begins with.
const MAGICS: [(&[u8], Compression); 6] = [
    (b"\xfd7zXZ\0", Compression::Xz),
    (b"BZh", Compression::Bzip2),
    (b"\x1f\x8b", Compression::Gzip),
    (b"\x28\xb5\x2f\xfd", Compression::Zstd),
    (b"LZIP", Compression::Lzip),
    (b"\x04\x22\x4d\x18", Compression::Lz4),
];

/// Walks files and the archives among them.
pub(super) struct Visitor {
    pub(super) scanner: Scanner,
    /// Bytes that archives may still unpack to.
    left: Arc<AtomicU64>,
}

impl Visitor {
    /// One that has seen nothing.
    pub(super) fn new() -> Self {
        Self::with_room(MAX_UNPACKED)
    }

    /// One whose archives may unpack to so many bytes.
    pub(super) fn with_room(bytes: u64) -> Self {
        Self { scanner: Scanner::new(), left: Arc::new(AtomicU64::new(bytes)) }
    }
}

/// What a file is by its first bytes.
enum Kind {
    Compressed(Compression),
    Tar,
    Zip,
    Other,
}

fn kind_of(head: &[u8]) -> Kind {
    if let Some((_, compression)) = MAGICS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Kind::Compressed(*compression);
    }
    if head.starts_with(b"PK\x03\x04") {
        return Kind::Zip;
    }
    if is_tar(head) { Kind::Tar } else { Kind::Other }
}

/// Whether a block is a tar header: its checksum holds.
fn is_tar(block: &[u8]) -> bool {
    if block.len() < BLOCK || block.first() == Some(&0) {
        return false;
    }
    let header = ::tar::Header::from_byte_slice(block);
    let blanks = 148..156;
    let sum = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if blanks.contains(&at) { u32::from(b' ') } else { u32::from(*byte) });
    header.cksum().is_ok_and(|stated| stated == sum.sum::<u32>())
}

impl Visitor {
    /// Looks at a file, and into it if it is an archive. `is_object` says that
    /// the file is the whole object.
    pub(super) fn visit(
        &mut self,
        place: &Place<'_>,
        is_object: bool,
        size: u64,
        mut source: &mut (dyn Read + Send),
    ) -> io::Result<()> {
        let head = read_block(&mut source)?;
        let kind = kind_of(&head);
        let whole = &mut head.chain(source);
        if matches!(kind, Kind::Other) {
            return self.scanner.file(place, size, whole);
        }
        let outer = format!("{}!/", place.shown());
        if outer.matches("!/").count() > MAX_ARCHIVES {
            let reason =
                format!("it lies within {MAX_ARCHIVES} other archives (a limit of this tool)");
            self.scanner.unread(place.shown(), "archive", reason);
            return Ok(());
        }
        // Whatever else it is, its name may say something.
        self.scanner.file(place, size, &mut io::empty())?;
        let nested = if is_object { place.nested } else { place.nested.saturating_add(1) };
        let inside = Place { outer: &outer, path: "", nested };
        let read = match kind {
            Kind::Compressed(compression) => {
                self.compressed(&inside, place.path, compression, whole)
            }
            Kind::Tar => self.tar(&inside, whole),
            Kind::Zip => self.zip(&inside, whole),
            Kind::Other => Ok(()),
        };
        if let Err(error) = read {
            self.scanner.unread(place.shown(), "archive", error.to_string());
        }
        Ok(())
    }

    /// A compressed file, looked into if it is a tar archive.
    fn compressed(
        &mut self,
        inside: &Place<'_>,
        name: &str,
        compression: Compression,
        source: &mut (dyn Read + Send),
    ) -> io::Result<()> {
        let left = Arc::clone(&self.left);
        let mut stream = Metered { inner: compression::reader(compression, source)?, left };
        match read_block(&mut stream) {
            Ok(head) if is_tar(&head) => {
                self.tar(inside, &mut (&*head).chain(&mut stream))?;
                // To its end, where the decoder checks what it gave.
                io::copy(&mut stream, &mut io::sink()).map(drop)
            }
            Ok(_) => Ok(()), // One compressed file: a manual page, a table.
            Err(error) if is_named_like_tar(name) => Err(error),
            Err(_) => Ok(()),
        }
    }

    /// Header by header, so that long names are bounded here and not allocated
    /// unseen.
    fn tar(&mut self, inside: &Place<'_>, mut source: &mut (dyn Read + Send)) -> io::Result<()> {
        self.scanner.archive();
        let mut long_name: Option<String> = None;
        loop {
            let block = read_block(&mut source)?;
            if block.iter().all(|byte| *byte == 0) {
                // The end mark, or the end without one, which tar takes too.
                return Ok(());
            }
            if !is_tar(&block) {
                return Err(io::Error::other("the tar archive is cut off or damaged"));
            }
            let header = ::tar::Header::from_byte_slice(&block);
            let (kind, size) = (header.entry_type(), header.entry_size()?);
            let mut contents = (&mut source).take(size);
            if kind.is_gnu_longname() {
                let name = bounded(&mut contents)?;
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                long_name = Some(String::from_utf8_lossy(name).into_owned());
            } else if kind.is_pax_local_extensions() {
                long_name = pax_path(&bounded(&mut contents)?)?.or(long_name);
            } else if kind.is_gnu_sparse() {
                return Err(unsupported("a sparse file"));
            } else if !(kind.is_gnu_longlink() || kind.is_pax_global_extensions()) {
                let header_name = || String::from_utf8_lossy(&header.path_bytes()).into_owned();
                let name = long_name.take().unwrap_or_else(header_name);
                if kind.is_file() || kind.is_contiguous() {
                    let place = Place { path: name.trim_start_matches("./"), ..*inside };
                    self.visit(&place, false, size, &mut contents)?;
                }
            }
            let left = contents.limit();
            let block = u64::try_from(BLOCK).unwrap_or(u64::MAX);
            let padding = (block - size % block) % block;
            let behind = left.saturating_add(padding);
            let skipped = io::copy(&mut (&mut source).take(behind), &mut io::sink())?;
            // The last block of the last file may lack its padding.
            if skipped < left {
                return Err(io::Error::other("the tar archive is cut off"));
            }
        }
    }

    fn zip(&mut self, inside: &Place<'_>, source: &mut (dyn Read + Send)) -> io::Result<()> {
        self.scanner.archive();
        let mut bytes = Vec::new();
        source.take(MAX_ZIP.saturating_add(1)).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_ZIP {
            return Err(io::Error::other(format!(
                "it has more than {MAX_ZIP} bytes (a limit of this tool)"
            )));
        }
        let damaged = || io::Error::other("the zip archive is damaged or uses 64-bit sizes");
        let members = zip_members(&bytes).ok_or_else(damaged)?;
        for member in members {
            let name = String::from_utf8_lossy(member.name);
            let place = Place { path: &name, ..*inside };
            let left = Arc::clone(&self.left);
            // Members may share their bytes, so that even plain ones count.
            let mut stream: Box<dyn Read + Send> = match member.method {
                0 => Box::new(Metered { inner: member.stored, left }),
                8 => Box::new(Metered { inner: DeflateDecoder::new(member.stored), left }),
                method => {
                    let reason = format!("it is packed with method {method} (read are 0 and 8)");
                    self.scanner.unread(place.shown(), "file", reason);
                    continue;
                }
            };
            let mut stream = (&mut stream).take(member.size);
            if let Err(error) = self.visit(&place, false, member.size, &mut stream) {
                self.scanner.unread(place.shown(), "file", error.to_string());
            }
        }
        Ok(())
    }
}

fn unsupported(what: &str) -> io::Error {
    io::Error::other(format!("it holds {what}, which is not read"))
}

/// The first block of a stream, or all of it.
fn read_block(source: &mut (impl Read + ?Sized)) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(BLOCK);
    let length = u64::try_from(BLOCK).unwrap_or(u64::MAX);
    source.take(length).read_to_end(&mut head)?;
    Ok(head)
}

/// A header of a tar archive that is as long as it says.
fn bounded(source: &mut io::Take<impl Read>) -> io::Result<Vec<u8>> {
    if source.limit() > MAX_TAR_HEADER {
        return Err(unsupported("a header of more than a million bytes"));
    }
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The path that an extended header gives the file behind it.
fn pax_path(header: &[u8]) -> io::Result<Option<String>> {
    let mut path = None;
    for extension in ::tar::PaxExtensions::new(header) {
        let extension = extension?;
        match extension.key_bytes() {
            b"path" => path = Some(String::from_utf8_lossy(extension.value_bytes()).into_owned()),
            b"size" => return Err(unsupported("a size in an extended header")),
            key if key.starts_with(b"GNU.sparse.") => return Err(unsupported("a sparse file")),
            _ => {}
        }
    }
    Ok(path)
}

fn is_named_like_tar(name: &str) -> bool {
    const SUFFIXES: [&str; 7] = [".tgz", ".txz", ".tbz", ".tbz2", ".tzst", ".crate", ".gem"];
    name.contains(".tar.") || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// A member of a zip archive.
struct Member<'z> {
    name: &'z [u8],
    method: u64,
    stored: &'z [u8],
    size: u64,
}

/// The members that the directory of a zip archive lists; it alone says what
/// the archive holds.
fn zip_members(bytes: &[u8]) -> Option<Vec<Member<'_>>> {
    const END: &[u8] = b"PK\x05\x06";
    let end = bytes.len().checked_sub(22)?;
    let earliest = end.saturating_sub(0xffff);
    let end = (earliest..=end)
        .rev()
        .find(|at| bytes.get(*at..).is_some_and(|rest| rest.starts_with(END)))?;
    let count = number(bytes, end.checked_add(10)?, 2)?;
    let mut at = place(bytes, end.checked_add(16)?, 4)?;
    (count <= MAX_MEMBERS && count != 0xffff).then_some(())?;
    let mut members = Vec::new();
    for _ in 0..count {
        let header = bytes.get(at..)?;
        header.starts_with(b"PK\x01\x02").then_some(())?;
        let name_length = place(header, 28, 2)?;
        let others = place(header, 30, 2)?.checked_add(place(header, 32, 2)?)?;
        let name_end = 46_usize.checked_add(name_length)?;
        let local = bytes.get(place(header, 42, 4)?..)?;
        local.starts_with(b"PK\x03\x04").then_some(())?;
        let data = 30_usize.checked_add(place(local, 26, 2)?)?.checked_add(place(local, 28, 2)?)?;
        let packed = place(header, 20, 4)?;
        members.push(Member {
            name: header.get(46..name_end)?,
            method: number(header, 10, 2)?,
            stored: local.get(data..data.checked_add(packed)?)?,
            size: number(header, 24, 4)?,
        });
        at = at.checked_add(name_end)?.checked_add(others)?;
    }
    Some(members)
}

/// A little-endian number.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn place(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    usize::try_from(number(bytes, at, length)?).ok()
}

/// A stream that counts against what all archives of an object may unpack to.
struct Metered<R> {
    inner: R,
    left: Arc<AtomicU64>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let taken = u64::try_from(read).unwrap_or(u64::MAX);
        let enough = |left: u64| left.checked_sub(taken);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough) {
            Ok(_) => Ok(read),
            Err(_) => Err(io::Error::other(
                "the archives of this object unpack to more than is read (a limit of this tool)",
            )),
        }
    }
}
