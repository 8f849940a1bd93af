//! Huffman tables (ITU-T T.81, B.2.4.2 and annex C), and the standard ones of annex K.

/// Number of bits that are looked up at once.
const LOOKUP_BITS: u32 = 10;

/// A Huffman table for decoding.
#[derive(Debug, Clone)]
pub(super) struct HuffmanTable {
    /// For each value of the next bits, the symbol and the length of its code; length 0 for longer codes.
    lookup: Vec<(u8, u8)>,
    /// For each length, the code behind the last one of this length, left-aligned in 16 bits.
    code_ends: [u32; 17],
    /// For each length, the index of the first symbol minus the first code.
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

impl HuffmanTable {
    /// Creates a table from the number of codes of each length from 1, and their symbols. Returns `None` if there are
    /// more codes than fit, or a symbol is missing.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            lookup: vec![(0, 0); 1 << LOOKUP_BITS],
            code_ends: [0; 17],
            offsets: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut index) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(counts) {
            table.offsets[length as usize] = index as i32 - code as i32;
            for &symbol in symbols.get(index..index + usize::from(count))? {
                if code >> length != 0 {
                    return None;
                }
                table.fill_lookup(code, length, symbol);
                code += 1;
            }
            index += usize::from(count);
            table.code_ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        (index == symbols.len()).then_some(table)
    }

    fn fill_lookup(&mut self, code: u32, length: u32, symbol: u8) {
        if let Some(free_bits) = LOOKUP_BITS.checked_sub(length) {
            let start = (code << free_bits) as usize;
            self.lookup[start..start + (1 << free_bits)].fill((symbol, length as u8));
        }
    }

    /// Returns the symbol at the start of 16 bits and the length of its code; `None` if they begin with no code.
    #[inline]
    pub(super) fn decode(&self, bits: u32) -> Option<(u8, u32)> {
        let (symbol, length) = self.lookup[(bits >> (16 - LOOKUP_BITS)) as usize];
        if length > 0 {
            return Some((symbol, u32::from(length)));
        }
        let length = (LOOKUP_BITS + 1..=16).find(|&length| bits < self.code_ends[length as usize])?;
        let index = (bits >> (16 - length)) as i32 + self.offsets[length as usize];
        Some((*self.symbols.get(usize::try_from(index).ok()?)?, length))
    }
}

/// The Huffman tables that are in effect for a scan.
#[derive(Debug, Default)]
pub(super) struct HuffmanTables {
    /// The tables of DC coefficients, by their number.
    pub(super) dc: [Option<HuffmanTable>; 4],
    /// The tables of AC coefficients, by their number.
    pub(super) ac: [Option<HuffmanTable>; 4],
}

impl HuffmanTables {
    /// Returns the standard tables.
    pub(super) fn standard() -> Self {
        let mut tables = Self::default();
        let defined = tables.define(&standard_tables());
        debug_assert!(defined.is_some(), "the standard tables are valid");
        tables
    }

    /// Replaces tables by those of a segment. Returns `None` if the segment is invalid.
    pub(super) fn define(&mut self, mut payload: &[u8]) -> Option<()> {
        while let Some((&header, rest)) = payload.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let (symbols, rest) = rest.split_at_checked(counts.iter().copied().map(usize::from).sum())?;
            let tables = if header >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *tables.get_mut(usize::from(header & 15))? = Some(HuffmanTable::new(counts, symbols)?);
            payload = rest;
        }
        Some(())
    }
}

/// Returns the payload of a segment that defines the standard tables 0 and 1 of both kinds (annex K.3), which cameras
/// leave out of the images of a stream.
pub(super) fn standard_tables() -> Vec<u8> {
    let tables: [(u8, [u8; 16], &[u8]); 4] = [
        (0x00, DC_LUMA_COUNTS, &DC_SYMBOLS),
        (0x10, AC_LUMA_COUNTS, &AC_LUMA_SYMBOLS),
        (0x01, DC_CHROMA_COUNTS, &DC_SYMBOLS),
        (0x11, AC_CHROMA_COUNTS, &AC_CHROMA_SYMBOLS),
    ];
    let mut payload = Vec::new();
    for (header, counts, symbols) in tables {
        payload.push(header);
        payload.extend(counts);
        payload.extend(symbols);
    }
    payload
}

const DC_LUMA_COUNTS: [u8; 16] = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];
const DC_CHROMA_COUNTS: [u8; 16] = [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0];
const DC_SYMBOLS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
const AC_LUMA_COUNTS: [u8; 16] = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125];
const AC_CHROMA_COUNTS: [u8; 16] = [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119];
#[rustfmt::skip]
const AC_LUMA_SYMBOLS: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
    0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72,
    0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37,
    0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
    0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83,
    0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3,
    0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];
#[rustfmt::skip]
const AC_CHROMA_SYMBOLS: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
    0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1,
    0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36,
    0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
    0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
    0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
    0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
    0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];
