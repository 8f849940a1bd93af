//! The bits of entropy-coded data (ITU-T T.81, F.2.2.5): zero bytes behind 0xff are stuffing, and restart markers
//! interrupt the data.

use super::{huffman::HuffmanTable, layout::FIRST_RESTART};

/// Reason why entropy-coded data is damaged.
pub(super) type ScanDamage = &'static str;

const TOO_SHORT: ScanDamage = "the data of a scan ends before its last block";
const NO_CODE: ScanDamage = "the data of a scan contains a code that is not in its Huffman table";

/// The longest code and the longest coefficient behind it.
const MAX_SKIP: u32 = 16 + 15;

/// A reader of the bits of one scan.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The first byte that is not in the buffer.
    position: usize,
    /// The next bits, the first in the highest place; zeros behind the last.
    buffer: u64,
    /// Number of bits in the buffer.
    count: u32,
}

impl<'a> BitReader<'a> {
    /// Creates a reader of the data behind a start of scan.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, buffer: 0, count: 0 }
    }

    /// Decodes a symbol.
    #[inline]
    pub(super) fn symbol(&mut self, table: &HuffmanTable) -> Result<u8, ScanDamage> {
        let (symbol, length) = self.peek_symbol(table)?;
        self.skip(length)?;
        Ok(symbol)
    }

    /// Decodes a symbol and skips the bits of the coefficient behind it, whose number is in the lower half of the symbol.
    #[inline]
    pub(super) fn symbol_with_bits(&mut self, table: &HuffmanTable) -> Result<u8, ScanDamage> {
        let (symbol, length) = self.peek_symbol(table)?;
        self.skip(length + u32::from(symbol & 15))?;
        Ok(symbol)
    }

    #[inline]
    fn peek_symbol(&mut self, table: &HuffmanTable) -> Result<(u8, u32), ScanDamage> {
        if self.count < MAX_SKIP {
            self.fill();
        }
        table.decode((self.buffer >> 48) as u32).ok_or(NO_CODE)
    }

    /// Skips at most [`MAX_SKIP`] bits.
    #[inline]
    pub(super) fn skip(&mut self, bits: u32) -> Result<(), ScanDamage> {
        if self.count < bits {
            self.fill();
        }
        self.count = self.count.checked_sub(bits).ok_or(TOO_SHORT)?;
        self.buffer <<= bits;
        Ok(())
    }

    /// Reads at most 16 bits as a number.
    #[inline]
    pub(super) fn bits(&mut self, bits: u32) -> Result<u32, ScanDamage> {
        if bits == 0 {
            return Ok(0);
        }
        if self.count < bits {
            self.fill();
        }
        let value = (self.buffer >> (64 - bits)) as u32;
        self.skip(bits)?;
        Ok(value)
    }

    /// Fills the buffer up to the next marker or the end.
    fn fill(&mut self) {
        if let Some(next) = self.bytes.get(self.position..).and_then(<[u8]>::first_chunk::<4>)
            && self.count <= 32
            && !next.contains(&0xff)
        {
            self.buffer |= u64::from(u32::from_be_bytes(*next)) << (32 - self.count);
            (self.position, self.count) = (self.position + 4, self.count + 32);
            return;
        }
        while self.count <= 56 {
            let Some(&byte) = self.bytes.get(self.position) else { return };
            if byte == 0xff && self.bytes.get(self.position + 1) != Some(&0) {
                return;
            }
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.position += if byte == 0xff { 2 } else { 1 };
            self.count += 8;
        }
    }

    /// Skips the bits before a restart marker and the marker itself, which must be the one with this number.
    pub(super) fn restart(&mut self, number: u8) -> Result<(), ScanDamage> {
        let rest = self.skip_padding()?;
        if rest.first_chunk() != Some(&[0xff, FIRST_RESTART + number]) {
            return Err("a restart marker is missing or out of order");
        }
        self.position = self.bytes.len() - rest.len() + 2;
        (self.buffer, self.count) = (0, 0);
        Ok(())
    }

    /// Checks that only padding follows, and at most one restart marker, which some encoders write at the end.
    pub(super) fn finish(mut self) -> Result<(), ScanDamage> {
        match self.skip_padding()? {
            [] | [0xff] | [0xff, _] => Ok(()),
            _ => Err("the data of a scan goes on behind its last block"),
        }
    }

    /// Skips the rest of the last byte, and bytes that cameras add to reach a length: all zero or all one. Returns the
    /// bytes behind.
    fn skip_padding(&mut self) -> Result<&'a [u8], ScanDamage> {
        let partial = self.count % 8;
        self.skip(partial)?;
        while self.count > 0 {
            let byte = self.bits(8)?;
            if byte != 0 && byte != 0xff {
                return Err("the data of a scan goes on behind its last block");
            }
        }
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let padding = rest.iter().take_while(|&&byte| byte == 0).count();
        let rest = &rest[padding..];
        // Fill bytes: all but the last 0xff before a marker.
        let fill = rest.iter().take_while(|&&byte| byte == 0xff).count().saturating_sub(1);
        Ok(&rest[fill..])
    }
}
