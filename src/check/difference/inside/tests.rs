use std::io::Write as _;

use super::super::causes;
use super::super::clues::{Context, HostFact};
use super::super::explanation::{Certainty, Class, Clue};

const NOW: u64 = 1_795_377_600;

fn context() -> Context {
    let host = vec![HostFact { what: "host name", value: "localhost".to_owned() }];
    Context { built_at: Some(NOW), now: NOW, host }
}

fn clues(a: &[u8], b: &[u8]) -> Vec<Clue> {
    let clues = causes(a, b, &context());
    assert!(!clues.is_empty(), "a difference has a clue");
    clues
}

/// What is found first, with its class and place.
fn first(a: &[u8], b: &[u8]) -> (Class, String, String) {
    let clues = clues(a, b);
    (clues[0].class, clues[0].what.clone(), clues[0].place.clone())
}

fn gzip(content: &[u8], time: u32, name: &str, level: u32) -> Vec<u8> {
    let mut builder = flate2::GzBuilder::new().mtime(time);
    if !name.is_empty() {
        builder = builder.filename(name);
    }
    let mut encoder = builder.write(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn tar(members: &[(&str, &[u8], u64, u64)]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, content, time, user) in members {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mtime(*time);
        header.set_uid(*user);
        header.set_gid(100);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn ar(members: &[(&str, &[u8], u64, u64)]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content, time, user) in members {
        let size = content.len();
        bytes.extend(
            format!(
                "{:<16}{time:<12}{user:<6}{:<6}{:<8}{size:<10}`\n",
                format!("{name}/"),
                0,
                100_644
            )
            .bytes(),
        );
        bytes.extend_from_slice(content);
        if size % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

fn cpio(members: &[(&str, &[u8], u64)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content, time) in members.iter().chain([&("TRAILER!!!", &b""[..], 0)]) {
        let fields = [
            7,
            0o100_644,
            0,
            0,
            1,
            *time,
            content.len() as u64,
            0,
            0,
            0,
            0,
            name.len() as u64 + 1,
            0,
        ];
        bytes.extend(b"070701");
        fields.iter().for_each(|field| bytes.extend(format!("{field:08x}").bytes()));
        bytes.extend(name.bytes().chain([0]));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

fn zip(members: &[(&str, &[u8], u16)], level: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut central = Vec::new();
    for (name, content, date) in members {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(level));
        encoder.write_all(content).unwrap();
        let packed = encoder.finish().unwrap();
        let offset = bytes.len() as u32;
        let shared = |out: &mut Vec<u8>| {
            out.extend([20, 0, 0, 0, 8, 0, 0, 0]);
            out.extend(date.to_le_bytes());
            out.extend([0; 4]);
            out.extend((packed.len() as u32).to_le_bytes());
            out.extend((content.len() as u32).to_le_bytes());
            out.extend((name.len() as u16).to_le_bytes());
            out.extend([0, 0]);
        };
        bytes.extend(b"PK\x03\x04");
        shared(&mut bytes);
        bytes.extend(name.bytes());
        bytes.extend(&packed);
        central.extend(b"PK\x01\x02\x14\x03");
        shared(&mut central);
        central.extend([0; 10]);
        central.extend(offset.to_le_bytes());
        central.extend(name.bytes());
    }
    let (at, size, count) = (bytes.len() as u32, central.len() as u32, members.len() as u16);
    bytes.extend(central);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend(count.to_le_bytes().iter().chain(&count.to_le_bytes()));
    bytes.extend(size.to_le_bytes().iter().chain(&at.to_le_bytes()));
    bytes.extend([0, 0]);
    bytes
}

#[test]
fn gzip_is_told_by_header_content_and_packing() {
    let text = b"some text that can be packed, packed, packed, packed".repeat(40);
    let (class, what, _) =
        first(&gzip(&text, 1_600_000_000, "x", 6), &gzip(&text, 1_795_377_000, "x", 6));
    assert_eq!((class, what.as_str()), (Class::Timestamp, "modification time in the gzip header"));
    let all = clues(&gzip(&text, 5, "x", 6), &gzip(&text, 9, "x", 6));
    assert_eq!(all.len(), 1, "{all:?}");

    let (class, what, _) = first(&gzip(&text, 0, "", 1), &gzip(&text, 0, "", 6));
    assert_eq!(class, Class::Compression, "{what}");

    let (class, _, place) =
        first(&gzip(b"host builder9\n", 0, "", 6), &gzip(b"host localhost\n", 0, "", 6));
    assert_eq!((class, place.as_str()), (Class::BuildHost, "gzip content"));
}

#[test]
fn other_compressions_are_looked_into() {
    let pack = |text: &[u8]| -> Vec<Vec<u8>> {
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
        xz.write_all(text).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(text).unwrap();
        vec![xz.finish().unwrap(), bzip2.finish().unwrap(), zstd::encode_all(text, 3).unwrap()]
    };
    for (a, b) in pack(b"at 2026-11-12\n").iter().zip(&pack(b"at 2026-11-22\n")) {
        let (class, _, place) = first(a, b);
        assert_eq!(class, Class::Timestamp);
        assert!(place.ends_with(" content"), "{place}");
    }
}

#[test]
fn archives_are_told_member_by_member() {
    type Make = fn(&str, &[u8], u64) -> Vec<u8>;
    let makers: [(&str, Make); 3] = [
        ("tar", |name, content, time| tar(&[("a", b"1", 7, 0), (name, content, time, 0)])),
        ("ar", |name, content, time| ar(&[("a", b"1", 7, 0), (name, content, time, 0)])),
        ("cpio", |name, content, time| cpio(&[("a", b"1", 7), (name, content, time)])),
    ];
    for (kind, make) in makers {
        let (class, what, place) = first(&make("b", b"22", 1_600_000_000), &make("b", b"22", NOW));
        assert_eq!((class, place.as_str()), (Class::Timestamp, "b"), "{kind}");
        assert_eq!(what, format!("modification time in the {kind} archive"));
        let (class, _, place) =
            first(&make("b", b"/tmp/nix-build-x.drv-0/y", 7), &make("b", b"/build/y", 7));
        assert_eq!((class, place.as_str()), (Class::BuildPath, "b"), "{kind}");
        let (class, _, _) = first(&make("b", b"x", 7), &make("other", b"y", 7));
        assert_eq!(class, Class::Unknown, "{kind}");
    }
    let (class, what, _) = first(
        &tar(&[("a", b"1", 7, 30_001), ("b", b"2", 7, 0)]),
        &tar(&[("a", b"1", 7, 1000), ("b", b"2", 7, 0)]),
    );
    assert_eq!((class, what.as_str()), (Class::BuildHost, "user id in the tar archive"));
    for (a, b) in [
        (
            tar(&[("a", b"1", 7, 0), ("b", b"2", 7, 0)]),
            tar(&[("b", b"2", 7, 0), ("a", b"1", 7, 0)]),
        ),
        (ar(&[("a", b"1", 7, 0), ("b", b"2", 7, 0)]), ar(&[("b", b"2", 7, 0), ("a", b"1", 7, 0)])),
        (cpio(&[("a", b"1", 7), ("b", b"2", 7)]), cpio(&[("b", b"2", 7), ("a", b"1", 7)])),
    ] {
        let found = clues(&a, &b);
        assert_eq!(
            (found.len(), found[0].class, found[0].certainty),
            (1, Class::Ordering, Certainty::Certain)
        );
    }
}

#[test]
fn zip_dates_order_and_packing_are_told_apart() {
    let text = b"text text text text text text text text text text text".repeat(20);
    let two = |date| zip(&[("a", &text, date), ("b", b"2", 1)], 6);
    let found = clues(&two(0x5000), &two(0x5b76));
    assert_eq!((found.len(), found[0].class), (1, Class::Timestamp), "{found:?}");
    assert_eq!(found[0].ours, "2025-11-22 00:00:00");
    let found = clues(&zip(&[("a", &text, 1)], 1), &zip(&[("a", &text, 1)], 9));
    assert_eq!(found[0].class, Class::Compression);
    let (a, b) = (("a", &b"1"[..], 1), ("b", &b"2"[..], 1));
    let found = clues(&zip(&[a, b], 6), &zip(&[b, a], 6));
    assert_eq!((found.len(), found[0].class), (1, Class::Ordering));
    let (class, _, place) =
        first(&zip(&[("a", b"on 2026-11-12", 1)], 6), &zip(&[("a", b"on 2026-11-22", 1)], 6));
    assert_eq!((class, place.as_str()), (Class::Timestamp, "a"));
}

#[test]
fn what_hides_outside_of_all_members_is_not_left_unsaid() {
    let text = |day: u8| [b"on 2026-11-1".as_slice(), &[day, b'\n']].concat();
    let archives = |day: u8| {
        [
            tar(&[("a", &text(day), 1, 0)]),
            ar(&[("a", &text(day), 1, 0), ("b", b"", 1, 0)]),
            zip(&[("a", &text(day), 1)], 6),
        ]
    };
    for (a, b) in archives(b'1').iter().zip(archives(b'2')) {
        let found = clues(a, &b);
        assert_eq!((found.len(), found[0].class), (1, Class::Timestamp), "{found:?}");
    }
    let (a, b) = (archives(b'1'), archives(b'2'));
    // In a tar archive the unused end of a header, the rest of a block, the
    // end; in a zip archive before the end record.
    let places = [(0, 505), (0, 512 + 100), (0, a[0].len() - 1), (2, b[2].len() - 22)];
    for (which, at) in places {
        let mut hidden = b[which].clone();
        if which == 0 {
            hidden[at] = b'!';
        } else {
            hidden.insert(at, b'!');
        }
        let found = clues(&a[which], &hidden);
        assert!(found.iter().any(|clue| clue.class == Class::Unknown), "{which} {at}: {found:?}");
    }
}

#[test]
fn formats_within_formats_are_opened_down_to_a_bound() {
    let text = |day: u32| format!("on 2026-11-{day}\n").into_bytes();
    let wrap = |day| gzip(&tar(&[("x.a", &ar(&[("m", &text(day), 1, 0)]), 1, 0)]), 0, "", 6);
    let (class, _, place) = first(&wrap(12), &wrap(22));
    assert_eq!((class, place.as_str()), (Class::Timestamp, "gzip content > x.a > m"));

    let nested = |day| (0..40).fold(text(day), |inner, _| gzip(&inner, 0, "", 6));
    let found = clues(&nested(12), &nested(22));
    assert!(found.iter().any(|clue| clue.class != Class::Timestamp), "{found:?}");
}

#[test]
fn bombs_are_refused() {
    let zeros = vec![0; 64 << 20];
    let mut bomb = gzip(&zeros, 0, "", 9);
    let other = gzip(&[zeros.as_slice(), b"x"].concat(), 0, "", 9);
    let found = clues(&bomb, &other);
    assert_eq!(found[0].class, Class::Unknown);
    bomb.truncate(bomb.len() / 2);
    assert_eq!(clues(&bomb, &other)[0].class, Class::Unknown);
}

#[test]
fn cut_and_garbled_archives_are_read_in_bounds() {
    let mut random = fastrand::Rng::with_seed(11);
    let elf = std::fs::read("/proc/self/exe").unwrap();
    let elf = &elf[..elf.len().min(20_000)];
    for whole in [
        tar(&[("a", b"1", 7, 0), ("b", b"2", 7, 0)]),
        ar(&[("a", b"1", 7, 0), ("b", b"2", 7, 0)]),
        cpio(&[("a", b"1", 7), ("b", b"2", 7)]),
        zip(&[("a", b"1", 7), ("b", b"2", 7)], 6),
        gzip(b"some text", 7, "name", 6),
        elf.to_vec(),
    ] {
        for _ in 0..60 {
            let mut other = whole.clone();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..other.len());
                other[at] = random.u8(..);
            }
            other.truncate(random.usize(..=other.len()));
            let found = causes(&whole, &other, &context());
            assert_eq!(found.is_empty(), whole == other);
        }
    }
}
