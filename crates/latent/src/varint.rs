//! LEB128 numbers of at most 32 bits: seven bits per byte, least significant first; a set top bit means that
//! more bytes follow. Only the shortest form is accepted, so that a number has a unique encoding.

use crate::LatentError;

/// Appends `value` to `out`.
pub(crate) fn write(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads a number and removes it from the front of `bytes`.
pub(crate) fn read(bytes: &mut &[u8], what: &'static str, field: &'static str) -> Result<u32, LatentError> {
    let mut value = 0_u64;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(LatentError::Truncated { what, field })?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let is_shortest = byte != 0 || shift == 0;
            return u32::try_from(value).ok().filter(|_| is_shortest).ok_or(LatentError::Varint { field });
        }
    }
    Err(LatentError::Varint { field })
}

/// Maps signed to unsigned so that small magnitudes stay small: 0, −1, 1, −2 … become 0, 1, 2, 3 ….
pub(crate) const fn zigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

/// Inverts [`zigzag`].
pub(crate) const fn unzigzag(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_survive_a_round_trip(value in any::<u32>(), signed in any::<i32>()) {
            let mut out = Vec::new();
            write(&mut out, value);
            let mut rest = out.as_slice();
            prop_assert_eq!(read(&mut rest, "frame", "x"), Ok(value));
            prop_assert!(rest.is_empty());
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        }
    }

    #[test]
    fn longer_encodings_are_refused() {
        for bytes in [&[0x80, 0x00][..], &[0xff, 0xff, 0xff, 0xff, 0x1f], &[0x80; 6]] {
            assert_eq!(
                read(&mut &*bytes, "frame", "x"),
                Err(LatentError::Varint { field: "x" }),
                "{bytes:x?}"
            );
        }
    }
}
