use std::io::Write as _;

use super::*;

/// Text with repetitions, longer than any decoder's buffer.
fn sample() -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(7);
    let words: Vec<Vec<u8>> =
        (0..200).map(|_| (0..rng.usize(1..40)).map(|_| rng.u8(..)).collect()).collect();
    let mut text = Vec::new();
    while text.len() < 700_000 {
        text.extend_from_slice(&words[rng.usize(..words.len())]);
    }
    text
}

/// Compressed by other programs than the decoders under test, where there are any.
fn compress(compression: Compression, data: &[u8]) -> Vec<u8> {
    match compression {
        Compression::None => data.to_vec(),
        Compression::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 3);
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Bzip2 => {
            let mut encoder =
                bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::stream::encode_all(data, 3).unwrap(),
        Compression::Lzip => lzip(data),
        Compression::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Brotli => {
            let mut out = Vec::new();
            let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 5, 20);
            encoder.write_all(data).unwrap();
            drop(encoder);
            out
        }
    }
}

/// An lzip member made from raw LZMA: magic, version, dictionary, stream with
/// end mark, CRC, sizes.
fn lzip(data: &[u8]) -> Vec<u8> {
    let mut options = liblzma::stream::LzmaOptions::new_preset(3).unwrap();
    options.dict_size(1 << 20);
    let stream = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(data).unwrap();
    let alone = encoder.finish().unwrap();
    let mut member = b"LZIP\x01\x14".to_vec();
    member.extend_from_slice(&alone[13..]);
    let mut crc = flate2::Crc::new();
    crc.update(data);
    member.extend_from_slice(&crc.sum().to_le_bytes());
    member.extend_from_slice(&u64::try_from(data.len()).unwrap().to_le_bytes());
    let size = u64::try_from(member.len() + 8).unwrap();
    member.extend_from_slice(&size.to_le_bytes());
    member
}

fn decompress(compression: Compression, data: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    reader(compression, data)?.read_to_end(&mut out)?;
    Ok(out)
}

fn error(compression: Compression, data: &[u8]) -> DecompressError {
    let error = decompress(compression, data).expect_err(compression.name());
    DecompressError::of(&error).cloned().unwrap_or_else(|| panic!("{compression}: {error:?}"))
}

/// All but [`Compression::None`], which has no end of its own.
fn framed() -> impl Iterator<Item = Compression> {
    Compression::ALL.into_iter().skip(1)
}

#[test]
fn everything_comes_back() {
    let text = sample();
    for compression in Compression::ALL {
        for data in [&text[..], b"", b"x"] {
            let packed = compress(compression, data);
            assert!(decompress(compression, &packed).unwrap() == data, "{compression}");
        }
    }
}

#[test]
fn a_reader_that_gives_one_byte_at_a_time_is_enough() {
    struct OneByte<'a>(&'a [u8]);
    impl Read for OneByte<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let length = out.len().min(1);
            self.0.read(&mut out[..length])
        }
    }
    let text = &sample()[..40_000];
    for compression in Compression::ALL {
        let packed = compress(compression, text);
        let mut out = Vec::new();
        reader(compression, OneByte(&packed)).unwrap().read_to_end(&mut out).unwrap();
        assert!(out == text, "{compression}");
    }
}

#[test]
fn several_members_are_one_stream() {
    let text = sample();
    for compression in framed() {
        let mut packed = compress(compression, &text);
        packed.extend(compress(compression, b"and more"));
        if compression == Compression::Brotli {
            // Brotli has no magic bytes: nobody joins its streams.
            assert!(matches!(error(compression, &packed), DecompressError::Trailing { .. }));
            continue;
        }
        let mut wanted = text.clone();
        wanted.extend_from_slice(b"and more");
        assert!(decompress(compression, &packed).unwrap() == wanted, "{compression}");
    }
}

#[test]
fn trailing_garbage_is_refused() {
    let text = &sample()[..10_000];
    for compression in framed() {
        for tail in [&b"\0"[..], b"garbage", b"\0\0\0\0\0\0\0", b"BZ", b"\x1f\x8b", &[0xff; 100]] {
            let mut packed = compress(compression, text);
            packed.extend_from_slice(tail);
            let found = error(compression, &packed);
            assert!(
                !matches!(found, DecompressError::TooLarge { .. }),
                "{compression} {tail:?}: {found}"
            );
        }
    }
}

#[test]
fn every_cut_is_refused() {
    let text = &sample()[..3_000];
    for compression in framed() {
        let packed = compress(compression, text);
        for length in 0..packed.len() {
            // Nothing at all is an empty list of zstd frames or xz streams.
            let result = decompress(compression, &packed[..length]);
            if length == 0 {
                assert!(result.is_err() || result.is_ok_and(|out| out.is_empty()));
            } else {
                assert!(result.is_err(), "{compression} cut at {length} of {}", packed.len());
            }
        }
    }
}

#[test]
fn windows_over_the_limit_are_too_large() {
    // xz: a stream whose LZMA2 dictionary is 4 GiB - 1 (property byte 40).
    let mut packed = compress(Compression::Xz, b"hello");
    let header = 12;
    assert_eq!(packed[header + 2], 0x21, "the LZMA2 filter");
    packed[header + 4] = 40;
    let size = usize::from(packed[header]) * 4;
    let mut crc = flate2::Crc::new();
    crc.update(&packed[header..header + size]);
    packed[header + size..header + size + 4].copy_from_slice(&crc.sum().to_le_bytes());
    assert!(matches!(error(Compression::Xz, &packed), DecompressError::TooLarge { .. }));

    // lzip: a dictionary of 512 MiB.
    let mut packed = lzip(b"hello");
    packed[5] = 29;
    assert!(matches!(error(Compression::Lzip, &packed), DecompressError::TooLarge { .. }));

    // zstd: a window of 128 MiB; then one of 64 MiB, which is allowed.
    for (log, fits) in [(27, false), (26, true)] {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(b"hello").unwrap();
        encoder.flush().unwrap();
        encoder.write_all(&sample()).unwrap();
        let packed = encoder.finish().unwrap();
        if fits {
            assert!(decompress(Compression::Zstd, &packed).is_ok());
        } else {
            assert!(matches!(error(Compression::Zstd, &packed), DecompressError::TooLarge { .. }));
        }
    }

    // Brotli's large window extension: 0x11 0x1e asks for 30 bits.
    let packed = [0x11, 0x1e, 0x03, 0x00];
    assert!(matches!(error(Compression::Brotli, &packed), DecompressError::Corrupt { .. }));
}

#[test]
fn the_largest_preset_of_xz_fits() {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 9);
    encoder.write_all(b"hello").unwrap();
    let packed = encoder.finish().unwrap();
    assert_eq!(decompress(Compression::Xz, &packed).unwrap(), b"hello");
}

#[test]
fn flipped_bytes_never_pass_as_another_text() {
    let text = &sample()[..2_000];
    let mut rng = fastrand::Rng::with_seed(3);
    // These carry checksums over everything; the others rely on the NAR hash.
    for compression in [Compression::Xz, Compression::Bzip2, Compression::Gzip, Compression::Lzip] {
        let packed = compress(compression, text);
        for _ in 0..300 {
            let mut bad = packed.clone();
            let at = rng.usize(..bad.len());
            bad[at] ^= 1 << rng.u8(..8);
            if let Ok(out) = decompress(compression, &bad) {
                assert!(out == text, "{compression} at {at}");
            }
        }
    }
}

#[test]
fn errors_of_the_source_stay_themselves() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    for compression in Compression::ALL {
        let mut out = Vec::new();
        let error = reader(compression, Broken).unwrap().read_to_end(&mut out).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{compression}");
    }
}

#[test]
fn damage_of_any_kind_ends_in_an_answer() {
    let text = &sample()[..20_000];
    let mut rng = fastrand::Rng::with_seed(11);
    for compression in framed() {
        let packed = compress(compression, text);
        for _ in 0..400 {
            let mut bad = packed.clone();
            for _ in 0..rng.usize(1..6) {
                let at = rng.usize(..bad.len().min(200).max(bad.len() / 4));
                match rng.u8(..4) {
                    0 => bad[at] = rng.u8(..),
                    1 => bad[at] ^= 1 << rng.u8(..8),
                    2 => bad.insert(at, rng.u8(..)),
                    _ => {
                        bad.remove(at);
                    }
                }
            }
            let mut out = Vec::new();
            let limit = 100 * u64::try_from(text.len()).unwrap();
            let _ = reader(compression, &bad[..]).unwrap().take(limit).read_to_end(&mut out);
        }
        for _ in 0..400 {
            let noise: Vec<u8> = (0..rng.usize(..300)).map(|_| rng.u8(..)).collect();
            let head = rng.usize(..packed.len().min(40));
            let bad = [&packed[..head], &noise].concat();
            let mut out = Vec::new();
            let _ = reader(compression, &bad[..]).unwrap().take(1 << 20).read_to_end(&mut out);
        }
    }
}
