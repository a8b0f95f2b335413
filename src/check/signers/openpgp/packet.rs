//! OpenPGP packets and the numbers in them.

/// Signature packets.
pub const SIGNATURE: u8 = 2;
/// Public keys.
pub const PUBLIC_KEY: u8 = 6;
/// User ids.
pub const USER_ID: u8 = 13;
/// Public subkeys.
pub const PUBLIC_SUBKEY: u8 = 14;

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'d> {
    /// What it is.
    pub tag: u8,
    /// What it holds.
    pub body: &'d [u8],
}

/// Data that is no sequence of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// All packets, up to the first that is malformed. Packets of unknown or
/// partial length belong to messages and are not read.
pub fn read(data: &[u8]) -> impl Iterator<Item = Result<Packet<'_>, Malformed>> {
    let mut rest = data;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let next = one(rest);
        rest = next.map_or(&[][..], |(_, after)| after);
        Some(next.map(|(packet, _)| packet).ok_or(Malformed))
    })
}

fn one(data: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let (&first, rest) = data.split_first()?;
    if first & 0x80 == 0 {
        return None;
    }
    let (tag, length, rest) = if first & 0x40 == 0 {
        let (length, rest) = match first & 3 {
            0 => number(rest, 1)?,
            1 => number(rest, 2)?,
            2 => number(rest, 4)?,
            _ => return None,
        };
        (first >> 2 & 0xf, length, rest)
    } else {
        let (length, rest) = length(rest)?;
        (first & 0x3f, length, rest)
    };
    let (body, rest) = rest.split_at_checked(length)?;
    Some((Packet { tag, body }, rest))
}

/// A length as new packets and subpackets have it.
pub fn length(data: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = data.split_first()?;
    match first {
        0..=191 => Some((usize::from(first), rest)),
        192..=223 => {
            let (&second, rest) = rest.split_first()?;
            Some(((usize::from(first) - 192) * 256 + usize::from(second) + 192, rest))
        }
        // Lengths of parts; in subpackets two bytes up to 254, which nothing
        // needs that short packets could hold.
        224..=254 => None,
        255 => number(rest, 4),
    }
}

/// A big-endian number of `bytes` bytes.
pub fn number(data: &[u8], bytes: usize) -> Option<(usize, &[u8])> {
    let (digits, rest) = data.split_at_checked(bytes)?;
    let value = digits.iter().try_fold(0_usize, |value, &digit| {
        value.checked_mul(256)?.checked_add(usize::from(digit))
    })?;
    Some((value, rest))
}

/// A number of as many bits as it says, without leading zeros.
pub fn integer(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (bits, rest) = number(data, 2)?;
    let (digits, rest) = rest.split_at_checked(bits.div_ceil(8))?;
    let start = digits.iter().position(|&byte| byte != 0).unwrap_or(digits.len());
    Some((digits.get(start..)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_in_both_notations() {
        let data = [0x99, 0, 2, 1, 2, 0xcd, 1, 9, 0xc2, 192, 0];
        let found: Vec<_> = read(&data).collect();
        assert_eq!(found[0], Ok(Packet { tag: PUBLIC_KEY, body: &[1, 2] }));
        assert_eq!(found[1], Ok(Packet { tag: USER_ID, body: &[9] }));
        assert_eq!(found[2], Err(Malformed));
        assert_eq!(found.len(), 3);
        assert_eq!(length(&[192, 0]), Some((192, &[][..])));
        assert_eq!(length(&[255, 0, 0, 1, 0, 7]), Some((256, &[7][..])));
        assert_eq!(integer(&[0, 9, 1, 2, 3]), Some((&[1, 2][..], &[3][..])));
        assert_eq!(integer(&[0, 9, 1]), None);
    }
}
