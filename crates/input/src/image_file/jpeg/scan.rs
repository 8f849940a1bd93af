//! A walk over the entropy-coded data of a scan, which finds out whether it is whole (ITU-T T.81, F.2 and G.2).
//!
//! A decoder that meets the end of the data too early, or a code that does not exist, fills the rest of the image with
//! grey and succeeds. The walk decodes every code, but computes no pixels: a scan is whole if each of its blocks is
//! there and nothing is left.

use super::{
    bits::{BitReader, ScanDamage},
    frame::{Component, Frame},
    huffman::{HuffmanTable, HuffmanTables},
};

const INVALID_HEADER: ScanDamage = "the header of a scan is invalid";
const NO_TABLE: ScanDamage = "a scan refers to a Huffman table that the file does not define";
const TOO_MANY_COEFFICIENTS: ScanDamage = "a block of a scan has more than 64 coefficients";

/// The largest category of a DC difference (table F.1).
const MAX_DC_CATEGORY: u8 = 11;

/// A component of a scan and the numbers of its Huffman tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScanComponent {
    /// The index of the component in the frame.
    pub(super) index: usize,
    dc_table: usize,
    ac_table: usize,
}

/// The header of a scan (B.2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScanHeader {
    /// The components.
    pub(super) components: Vec<ScanComponent>,
    /// The first coefficient.
    pub(super) first: u32,
    /// The last coefficient, inclusive.
    pub(super) last: u32,
    /// The bit at which an earlier scan ended; 0 in the first scan of these coefficients.
    pub(super) high_bit: u32,
    /// The lowest bit of this scan.
    pub(super) low_bit: u32,
}

impl ScanHeader {
    /// Parses the payload of a start of scan.
    pub(super) fn parse(payload: &[u8], frame: &Frame) -> Result<Self, ScanDamage> {
        let (&count, rest) = payload.split_first().ok_or(INVALID_HEADER)?;
        let (entries, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or(INVALID_HEADER)?;
        let &[first, last, bits] = rest.first_chunk().ok_or(INVALID_HEADER)?;
        let components: Option<Vec<ScanComponent>> =
            entries.chunks_exact(2).map(|entry| scan_component([entry[0], entry[1]], frame)).collect();
        let header = Self {
            components: components.ok_or(INVALID_HEADER)?,
            first: u32::from(first),
            last: u32::from(last),
            high_bit: u32::from(bits >> 4),
            low_bit: u32::from(bits & 15),
        };
        if header.is_valid(frame.is_progressive) { Ok(header) } else { Err(INVALID_HEADER) }
    }

    fn is_valid(&self, is_progressive: bool) -> bool {
        let is_distinct = (1..self.components.len()).all(|index| {
            self.components[..index].iter().all(|earlier| earlier.index != self.components[index].index)
        });
        let has_coefficients = if is_progressive {
            // Coefficients other than the first are in scans of one component.
            self.first <= self.last
                && self.last < 64
                && self.low_bit < 14
                && (self.last == 0 || self.first > 0)
                && (self.first == 0 || self.components.len() == 1)
        } else {
            // Some encoders leave the range out; it is always the whole one.
            true
        };
        !self.components.is_empty() && is_distinct && has_coefficients
    }
}

fn scan_component([id, tables]: [u8; 2], frame: &Frame) -> Option<ScanComponent> {
    let index = frame.components.iter().position(|component| component.id == id)?;
    let (dc_table, ac_table) = (usize::from(tables >> 4), usize::from(tables & 15));
    (dc_table < 4 && ac_table < 4).then_some(ScanComponent { index, dc_table, ac_table })
}

/// The coefficients of one component that are not zero so far: one bit per coefficient, one number per block. Only
/// progressive images need them, because their later scans are read by them.
pub(super) type NonZero = Vec<u64>;

/// Checks that the data of a scan is whole. `non_zero` has one entry per component, empty for sequential images.
pub(super) fn check_scan(
    frame: &Frame,
    header: &ScanHeader,
    tables: &HuffmanTables,
    restart_interval: u32,
    data: &[u8],
    non_zero: &mut [NonZero],
) -> Result<(), ScanDamage> {
    let mut bits = BitReader::new(data);
    let mut walk = ScanWalk { frame, header, tables, end_of_band_run: 0 };
    let (columns, rows) = match header.components[..] {
        [single] => frame.blocks(&frame.components[single.index]),
        _ => frame.units(),
    };
    let (mut until_restart, mut restart) = (restart_interval, 0);
    for row in 0..rows {
        for column in 0..columns {
            if restart_interval > 0 {
                if until_restart == 0 {
                    bits.restart(restart)?;
                    (until_restart, restart, walk.end_of_band_run) = (restart_interval, (restart + 1) % 8, 0);
                }
                until_restart -= 1;
            }
            walk.unit(&mut bits, column, row, non_zero)?;
        }
    }
    bits.finish()
}

struct ScanWalk<'a> {
    frame: &'a Frame,
    header: &'a ScanHeader,
    tables: &'a HuffmanTables,
    /// Number of blocks without further coefficients in this scan.
    end_of_band_run: u32,
}

impl ScanWalk<'_> {
    /// Walks over a minimum coded unit.
    fn unit(
        &mut self,
        bits: &mut BitReader<'_>,
        column: u32,
        row: u32,
        non_zero: &mut [NonZero],
    ) -> Result<(), ScanDamage> {
        for member in &self.header.components {
            let component = &self.frame.components[member.index];
            if !self.frame.is_progressive {
                let blocks = match self.header.components.len() {
                    1 => 1,
                    _ => component.horizontal * component.vertical,
                };
                for _ in 0..blocks {
                    self.sequential_block(bits, *member)?;
                }
            } else if self.header.first == 0 {
                let blocks = match self.header.components.len() {
                    1 => 1,
                    _ => component.horizontal * component.vertical,
                };
                for _ in 0..blocks {
                    self.dc_block(bits, *member)?;
                }
            } else {
                let index = block_index(self.frame, component, column, row);
                let known = non_zero.get_mut(member.index).and_then(|blocks| blocks.get_mut(index));
                self.ac_block(bits, *member, known.ok_or(INVALID_HEADER)?)?;
            }
        }
        Ok(())
    }

    /// Walks over a block of a sequential scan (F.2.2).
    #[inline]
    fn sequential_block(&self, bits: &mut BitReader<'_>, member: ScanComponent) -> Result<(), ScanDamage> {
        let ac_table = self.tables.ac[member.ac_table].as_ref().ok_or(NO_TABLE)?;
        skip_dc(bits, self.tables.dc[member.dc_table].as_ref().ok_or(NO_TABLE)?)?;
        let mut index = 1;
        while index < 64 {
            let symbol = bits.symbol_with_bits(ac_table)?;
            match (symbol >> 4, symbol & 15) {
                (15, 0) => index += 16,
                (_, 0) => return Ok(()),
                (run, _) => index += u32::from(run) + 1,
            }
        }
        if index > 64 { Err(TOO_MANY_COEFFICIENTS) } else { Ok(()) }
    }

    /// Walks over the first coefficient of a block (G.1.2.1).
    fn dc_block(&self, bits: &mut BitReader<'_>, member: ScanComponent) -> Result<(), ScanDamage> {
        if self.header.high_bit > 0 {
            return bits.skip(1);
        }
        skip_dc(bits, self.tables.dc[member.dc_table].as_ref().ok_or(NO_TABLE)?)
    }

    fn ac_block(
        &mut self,
        bits: &mut BitReader<'_>,
        member: ScanComponent,
        known: &mut u64,
    ) -> Result<(), ScanDamage> {
        let table = self.tables.ac[member.ac_table].as_ref().ok_or(NO_TABLE)?;
        if self.header.high_bit > 0 {
            self.refine_ac_block(bits, table, known)
        } else {
            self.first_ac_block(bits, table, known)
        }
    }

    /// Walks over the first scan of these coefficients (G.1.2.2).
    fn first_ac_block(
        &mut self,
        bits: &mut BitReader<'_>,
        table: &HuffmanTable,
        known: &mut u64,
    ) -> Result<(), ScanDamage> {
        if self.end_of_band_run > 0 {
            self.end_of_band_run -= 1;
            return Ok(());
        }
        let mut index = self.header.first;
        while index <= self.header.last {
            let symbol = bits.symbol(table)?;
            match (u32::from(symbol >> 4), symbol & 15) {
                (15, 0) => index += 16,
                (run, 0) => {
                    self.end_of_band_run = (1 << run) - 1 + bits.bits(run)?;
                    return Ok(());
                }
                (run, size) => {
                    index += run;
                    if index > self.header.last {
                        return Err(TOO_MANY_COEFFICIENTS);
                    }
                    bits.skip(u32::from(size))?;
                    *known |= 1 << index;
                    index += 1;
                }
            }
        }
        Ok(())
    }

    /// Walks over a scan that refines these coefficients (G.1.2.3): one bit for each coefficient that is not zero so
    /// far, between the codes of the new ones.
    fn refine_ac_block(
        &mut self,
        bits: &mut BitReader<'_>,
        table: &HuffmanTable,
        known: &mut u64,
    ) -> Result<(), ScanDamage> {
        let mut index = self.header.first;
        while self.end_of_band_run == 0 && index <= self.header.last {
            let symbol = bits.symbol(table)?;
            let (run, size) = (u32::from(symbol >> 4), symbol & 15);
            match size {
                0 if run < 15 => {
                    // This block is the first of the run.
                    self.end_of_band_run = (1 << run) + bits.bits(run)?;
                    break;
                }
                0 => {}
                1 => bits.skip(1)?,
                _ => return Err("a scan has a new coefficient that is not one"),
            }
            index = self.skip_refined(bits, *known, index, run)?;
            if size == 1 {
                if index > self.header.last {
                    return Err(TOO_MANY_COEFFICIENTS);
                }
                *known |= 1 << index;
            }
            index += 1;
        }
        if self.end_of_band_run > 0 {
            for _ in (index..=self.header.last).filter(|index| *known >> index & 1 == 1) {
                bits.skip(1)?;
            }
            self.end_of_band_run -= 1;
        }
        Ok(())
    }

    /// Skips the bits of the coefficients from `index` on that are not zero so far, among `run` others that remain
    /// zero. Returns the index of the coefficient behind them, which may be one behind the last.
    #[inline]
    fn skip_refined(
        &self,
        bits: &mut BitReader<'_>,
        known: u64,
        mut index: u32,
        mut run: u32,
    ) -> Result<u32, ScanDamage> {
        while index <= self.header.last {
            if known >> index & 1 == 1 {
                bits.skip(1)?;
            } else if run == 0 {
                break;
            } else {
                run -= 1;
            }
            index += 1;
        }
        Ok(index)
    }
}

#[inline]
fn skip_dc(bits: &mut BitReader<'_>, table: &HuffmanTable) -> Result<(), ScanDamage> {
    let category = bits.symbol_with_bits(table)?;
    if category > MAX_DC_CATEGORY {
        return Err("a block of a scan has an impossible difference of brightness");
    }
    Ok(())
}

/// Returns the index of a block among all blocks of a component, with those that fill the last units.
fn block_index(frame: &Frame, component: &Component, column: u32, row: u32) -> usize {
    let columns = frame.units().0 * component.horizontal;
    row as usize * columns as usize + column as usize
}

/// Returns the bits of all coefficients of a progressive image, none of them set.
pub(super) fn no_coefficients(frame: &Frame) -> Vec<NonZero> {
    let (columns, rows) = frame.units();
    let blocks = |component: &Component| {
        columns as usize * component.horizontal as usize * rows as usize * component.vertical as usize
    };
    frame.components.iter().map(|component| vec![0; blocks(component)]).collect()
}
