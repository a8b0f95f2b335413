//! JSON numbers as nlohmann::json reads and prints them.
//!
//! Whole numbers are 64-bit, signed or unsigned, and become doubles beyond
//! that. Doubles are printed with Grisu2 (Florian Loitsch, "Printing
//! floating-point numbers quickly and accurately with integers", 2010), which
//! always reads back but is not always the shortest: a printer that *is*
//! always the shortest would give other bytes.

/// A JSON number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number from zero up.
    Unsigned(u64),
    /// A negative whole number.
    Negative(i64),
    /// Any other number, always finite.
    Float(f64),
}

impl Number {
    /// Reads a number that obeys the grammar of JSON; `None` if it is too
    /// large for a double.
    pub(super) fn read(text: &str) -> Option<Self> {
        if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
            match text.strip_prefix('-') {
                None => {
                    if let Ok(value) = text.parse() {
                        return Some(Self::Unsigned(value));
                    }
                }
                Some(_) => match text.parse::<i64>() {
                    Ok(0) => return Some(Self::Unsigned(0)),
                    Ok(value) => return Some(Self::Negative(value)),
                    Err(_) => {}
                },
            }
        }
        text.parse::<f64>().ok().filter(|value| value.is_finite()).map(Self::Float)
    }

    /// As `.attrs.json` shows it.
    pub(super) fn print(self, out: &mut String) {
        match self {
            Self::Unsigned(value) => out.push_str(&value.to_string()),
            Self::Negative(value) => out.push_str(&value.to_string()),
            Self::Float(value) => print_float(value, out),
        }
    }

    /// As `.attrs.sh` shows it: only if whole *as a single-precision float*,
    /// and then as a wrapping 32-bit integer. A double beyond that range
    /// gives the least integer, as x86 converts.
    pub(super) fn to_shell(self) -> Option<i32> {
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            reason = "the very conversions Nix makes: wrapping, and double to float"
        )]
        match self {
            Self::Unsigned(value) => Some(value as i32),
            Self::Negative(value) => Some(value as i32),
            Self::Float(value) => {
                let single = value as f32;
                (single.ceil() == single).then(|| {
                    let whole = value.trunc();
                    if whole >= f64::from(i32::MIN) && whole <= f64::from(i32::MAX) {
                        whole as i32
                    } else {
                        i32::MIN
                    }
                })
            }
        }
    }
}

/// Largest number of digits before the point without an exponent: the
/// decimal digits every double keeps.
const MAX_PLAIN_DIGITS: i32 = 15;

/// Values below 10⁻⁴ are printed with an exponent.
const MIN_PLAIN_EXPONENT: i32 = -4;

fn print_float(value: f64, out: &mut String) {
    if value.is_sign_negative() {
        out.push('-');
    }
    if value == 0.0 {
        out.push_str("0.0");
        return;
    }
    let (digits, exponent) = grisu2(value.abs());
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // The value is 0.DIGITS × 10^point.
    let point = count.saturating_add(exponent);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    if count <= point && point <= MAX_PLAIN_DIGITS {
        out.push_str(&digits);
        out.push_str(&zeros(point - count));
        out.push_str(".0");
    } else if 0 < point && point <= MAX_PLAIN_DIGITS {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
        out.push_str(&format!("{whole}.{fraction}"));
    } else if MIN_PLAIN_EXPONENT < point && point <= 0 {
        out.push_str(&format!("0.{}{digits}", zeros(-point)));
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let sign = if point > 0 { '+' } else { '-' };
        out.push_str(&format!("{first}{dot}{rest}e{sign}{:02}", (point - 1).unsigned_abs()));
    }
}

/// `significand × 2^exponent`.
#[derive(Clone, Copy)]
struct Scaled {
    significand: u64,
    exponent: i32,
}

impl Scaled {
    /// Shifts the highest bit to the top.
    const fn normalised(self) -> Self {
        let shift = self.significand.leading_zeros();
        Self {
            significand: self.significand << shift,
            exponent: self.exponent.saturating_sub_unsigned(shift),
        }
    }

    /// The upper half of the product, rounded.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.significand) * u128::from(other.significand);
        let rounded = product.wrapping_add(1 << 63) >> 64;
        Self {
            significand: u64::try_from(rounded).unwrap_or(u64::MAX),
            exponent: self.exponent + other.exponent + 64,
        }
    }
}

/// Explicit bits of a double's significand.
const FRACTION_BITS: u32 = 52;

/// The value of the lowest bit of a denormal double is 2 to this.
const MIN_BINARY_EXPONENT: i32 = -1074;

/// Digits and decimal exponent of a positive finite double.
fn grisu2(value: f64) -> (String, i32) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << FRACTION_BITS) - 1);
    let biased = i32::try_from(bits >> FRACTION_BITS & 0x7ff).unwrap_or(0);
    let value = if biased == 0 {
        Scaled { significand: fraction, exponent: MIN_BINARY_EXPONENT }
    } else {
        Scaled {
            significand: fraction | 1 << FRACTION_BITS,
            exponent: MIN_BINARY_EXPONENT + biased - 1,
        }
    };
    // Halfway to the neighbours; below a power of two they are closer.
    let upper = Scaled { significand: 2 * value.significand + 1, exponent: value.exponent - 1 }
        .normalised();
    let lower = if fraction == 0 && biased > 1 {
        Scaled { significand: 4 * value.significand - 1, exponent: value.exponent - 2 }
    } else {
        Scaled { significand: 2 * value.significand - 1, exponent: value.exponent - 1 }
    };
    let shift = u32::try_from(lower.exponent - upper.exponent).unwrap_or(0);
    let lower = Scaled { significand: lower.significand << shift, exponent: upper.exponent };

    let (power, decimal) = cached_power(upper.exponent);
    let scaled = value.normalised().times(power);
    let low = lower.times(power).significand + 1;
    let high = Scaled { significand: upper.times(power).significand - 1, ..scaled };
    generate(low, scaled, high, -decimal)
}

/// Writes the digits of `high` until what is left is within the interval,
/// then steps towards `value`.
fn generate(low: u64, value: Scaled, high: Scaled, mut decimal: i32) -> (String, i32) {
    let mut delta = high.significand - low;
    let mut distance = high.significand - value.significand;
    // Between -60 and -32, so whole and fraction both fit.
    let shift = high.exponent.unsigned_abs();
    let one = 1_u64 << shift;
    let mut whole = high.significand >> shift;
    let mut fraction = high.significand & (one - 1);

    let mut digits = Vec::new();
    let mut power = 1_u64;
    let mut left = 1;
    while whole / power >= 10 {
        power *= 10;
        left += 1;
    }
    while left > 0 {
        digits.push(digit(whole / power));
        whole %= power;
        left -= 1;
        let rest = (whole << shift) + fraction;
        if rest <= delta {
            round(&mut digits, distance, delta, rest, power << shift);
            return (String::from_utf8(digits).unwrap_or_default(), decimal + left);
        }
        power /= 10;
    }
    loop {
        fraction *= 10;
        digits.push(digit(fraction >> shift));
        fraction &= one - 1;
        decimal -= 1;
        delta *= 10;
        distance *= 10;
        if fraction <= delta {
            round(&mut digits, distance, delta, fraction, one);
            return (String::from_utf8(digits).unwrap_or_default(), decimal);
        }
    }
}

fn digit(value: u64) -> u8 {
    b'0' + u8::try_from(value % 10).unwrap_or(0)
}

/// Lowers the last digit while that comes closer to the value.
fn round(digits: &mut [u8], distance: u64, delta: u64, mut rest: u64, unit: u64) {
    while rest < distance
        && delta - rest >= unit
        && (rest + unit < distance || distance - rest > rest + unit - distance)
    {
        if let Some(last) = digits.last_mut() {
            *last -= 1;
        }
        rest += unit;
    }
}

/// The decimal exponent of the first of [`POWERS`].
const FIRST_POWER: i32 = -300;

/// The decimal step between two of [`POWERS`].
const POWER_STEP: i32 = 8;

/// A power of ten that brings `2^exponent` into the range [`generate`] needs,
/// and its decimal exponent.
fn cached_power(exponent: i32) -> (Scaled, i32) {
    const LEAST_EXPONENT: i32 = -60;
    let least = LEAST_EXPONENT - exponent - 1;
    // 78913 / 2^18 is log10(2) to six digits.
    let decimal = least * 78913 / (1 << 18) + i32::from(least > 0);
    let index = (decimal - FIRST_POWER + (POWER_STEP - 1)) / POWER_STEP;
    let decimal = FIRST_POWER + index * POWER_STEP;
    let significand =
        usize::try_from(index).ok().and_then(|index| POWERS.get(index)).copied().unwrap_or(1);
    // 217706 / 2^16 is log2(10), exact enough for these exponents.
    (Scaled { significand, exponent: ((decimal * 217_706) >> 16) - 63 }, decimal)
}

/// The leading 64 bits, rounded, of 10⁻³⁰⁰, 10⁻²⁹² and so on to 10³²⁴.
#[rustfmt::skip]
const POWERS: [u64; 79] = [
    0xAB70_FE17_C79A_C6CA,
    0xFF77_B1FC_BEBC_DC4F,
    0xBE56_91EF_416B_D60C,
    0x8DD0_1FAD_907F_FC3C,
    0xD351_5C28_3155_9A83,
    0x9D71_AC8F_ADA6_C9B5,
    0xEA9C_2277_23EE_8BCB,
    0xAECC_4991_4078_536D,
    0x823C_1279_5DB6_CE57,
    0xC210_9436_4DFB_5637,
    0x9096_EA6F_3848_984F,
    0xD774_85CB_2582_3AC7,
    0xA086_CFCD_97BF_97F4,
    0xEF34_0A98_172A_ACE5,
    0xB238_67FB_2A35_B28E,
    0x84C8_D4DF_D2C6_3F3B,
    0xC5DD_4427_1AD3_CDBA,
    0x936B_9FCE_BB25_C996,
    0xDBAC_6C24_7D62_A584,
    0xA3AB_6658_0D5F_DAF6,
    0xF3E2_F893_DEC3_F126,
    0xB5B5_ADA8_AAFF_80B8,
    0x8762_5F05_6C7C_4A8B,
    0xC9BC_FF60_34C1_3053,
    0x964E_858C_91BA_2655,
    0xDFF9_7724_7029_7EBD,
    0xA6DF_BD9F_B8E5_B88F,
    0xF8A9_5FCF_8874_7D94,
    0xB944_7093_8FA8_9BCF,
    0x8A08_F0F8_BF0F_156B,
    0xCDB0_2555_6531_31B6,
    0x993F_E2C6_D07B_7FAC,
    0xE45C_10C4_2A2B_3B06,
    0xAA24_2499_6973_92D3,
    0xFD87_B5F2_8300_CA0E,
    0xBCE5_0864_9211_1AEB,
    0x8CBC_CC09_6F50_88CC,
    0xD1B7_1758_E219_652C,
    0x9C40_0000_0000_0000,
    0xE8D4_A510_0000_0000,
    0xAD78_EBC5_AC62_0000,
    0x813F_3978_F894_0984,
    0xC097_CE7B_C907_15B3,
    0x8F7E_32CE_7BEA_5C70,
    0xD5D2_38A4_ABE9_8068,
    0x9F4F_2726_179A_2245,
    0xED63_A231_D4C4_FB27,
    0xB0DE_6538_8CC8_ADA8,
    0x83C7_088E_1AAB_65DB,
    0xC45D_1DF9_4271_1D9A,
    0x924D_692C_A61B_E758,
    0xDA01_EE64_1A70_8DEA,
    0xA26D_A399_9AEF_774A,
    0xF209_787B_B47D_6B85,
    0xB454_E4A1_79DD_1877,
    0x865B_8692_5B9B_C5C2,
    0xC835_53C5_C896_5D3D,
    0x952A_B45C_FA97_A0B3,
    0xDE46_9FBD_99A0_5FE3,
    0xA59B_C234_DB39_8C25,
    0xF6C6_9A72_A398_9F5C,
    0xB7DC_BF53_54E9_BECE,
    0x88FC_F317_F222_41E2,
    0xCC20_CE9B_D35C_78A5,
    0x9816_5AF3_7B21_53DF,
    0xE2A0_B5DC_971F_303A,
    0xA8D9_D153_5CE3_B396,
    0xFB9B_7CD9_A4A7_443C,
    0xBB76_4C4C_A7A4_4410,
    0x8BAB_8EEF_B640_9C1A,
    0xD01F_EF10_A657_842C,
    0x9B10_A4E5_E991_3129,
    0xE710_9BFB_A19C_0C9D,
    0xAC28_20D9_623B_F429,
    0x8044_4B5E_7AA7_CF85,
    0xBF21_E440_03AC_DD2D,
    0x8E67_9C2F_5E44_FF8F,
    0xD433_179D_9C8C_B841,
    0x9E19_DB92_B4E3_1BA9,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(value: f64) -> String {
        let mut out = String::new();
        Number::Float(value).print(&mut out);
        out
    }

    #[test]
    fn floats_print_as_nlohmann_prints_them() {
        for (value, wanted) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (0.001, "0.001"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e-7, "1e-07"),
            (123456789012345.0, "123456789012345.0"),
            (1e14, "100000000000000.0"),
            (1e15, "1e+15"),
            (1.25e15, "1.25e+15"),
            (1e25, "1e+25"),
            (1e100, "1e+100"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (2.2250738585072014e-308, "2.2250738585072014e-308"),
            (5e-324, "5e-324"),
            (0.3, "0.3"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1234.5678901234567, "1234.5678901234567"),
            (18446744073709551616.0, "1.8446744073709552e+19"),
        ] {
            assert_eq!(printed(value), wanted);
        }
    }

    #[test]
    fn every_double_reads_back() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..200_000 {
            let value = f64::from_bits(random.u64(..));
            if value.is_finite() {
                assert_eq!(printed(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
            }
        }
        for exponent in -1074..1024 {
            let value = 2_f64.powi(exponent);
            assert_eq!(printed(value).parse::<f64>(), Ok(value));
        }
    }

    #[test]
    fn whole_numbers_keep_64_bits() {
        for (text, wanted) in [
            ("0", "0"),
            ("-0", "0"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "1.8446744073709552e+19"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("-9223372036854775809", "-9.223372036854776e+18"),
            ("-0.0", "-0.0"),
            ("1E2", "100.0"),
        ] {
            let mut out = String::new();
            Number::read(text).unwrap().print(&mut out);
            assert_eq!(out, wanted, "{text}");
        }
        assert_eq!(Number::read("1e400"), None);
        assert_eq!(Number::read(&"9".repeat(400)), None);
    }

    #[test]
    fn shell_numbers_wrap() {
        for (text, wanted) in [
            ("5000000000", Some(705_032_704)),
            ("18446744073709551615", Some(-1)),
            ("-9223372036854775808", Some(0)),
            ("1e25", Some(i32::MIN)),
            ("1e308", Some(i32::MIN)),
            ("-3e9", Some(i32::MIN)),
            ("2147483647.0", Some(i32::MAX)),
            ("1.5", None),
            ("-0.5", None),
            ("1.00000000001", Some(1)),
            ("16777216.5", Some(16_777_216)),
            ("1e-50", Some(0)),
            ("-0.0", Some(0)),
        ] {
            assert_eq!(Number::read(text).unwrap().to_shell(), wanted, "{text}");
        }
    }
}
