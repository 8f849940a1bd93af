use lopside_bundle::DecimalMark;

/// Texts that stand for a missing number, in lower case. An empty cell does as well.
const MISSING_TEXTS: [&str; 12] =
    ["nan", "+nan", "-nan", "na", "n/a", "#n/a", "null", "none", "nil", "-", "--", "---"];

/// The contents of a cell that should be a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    /// A finite number.
    Number(f32),
    /// No number: the cell is empty, or says so.
    Missing,
    /// Something else.
    Other,
}

/// Reads the numbers of a table. The first number with a decimal mark decides about the mark of all further ones, unless
/// it is declared. A comma is a decimal mark only if it is declared, or if it does not separate the cells.
#[derive(Debug)]
pub(super) struct NumberReader {
    missing: Vec<String>,
    decimal: Option<DecimalMark>,
}

impl NumberReader {
    pub(super) fn new(decimal: Option<DecimalMark>, missing: &[String]) -> Self {
        Self { missing: missing.iter().map(|text| text.trim().to_owned()).collect(), decimal }
    }

    /// Reads a cell of a table whose cells are separated by commas or not.
    pub(super) fn read(&self, cell: &str, has_comma_separator: bool) -> Cell {
        if self.is_missing(cell) {
            return Cell::Missing;
        }
        let number = match (mark_of(cell), self.decimal) {
            (None, _) | (Some(DecimalMark::Point), None | Some(DecimalMark::Point)) => cell.parse::<f32>(),
            (Some(DecimalMark::Comma), Some(DecimalMark::Comma)) => cell.replacen(',', ".", 1).parse::<f32>(),
            (Some(DecimalMark::Comma), None) if !has_comma_separator => {
                cell.replacen(',', ".", 1).parse::<f32>()
            }
            (Some(_), _) => return Cell::Other,
        };
        number.ok().filter(|number: &f32| number.is_finite()).map_or(Cell::Other, Cell::Number)
    }

    /// Learns the decimal mark from a cell that was read as a number.
    pub(super) fn learn(&mut self, cell: &str) {
        if self.decimal.is_none() && !self.is_missing(cell) {
            self.decimal = mark_of(cell);
        }
    }

    pub(super) fn knows_decimal_mark(&self) -> bool {
        self.decimal.is_some()
    }

    fn is_missing(&self, cell: &str) -> bool {
        cell.is_empty()
            || self.missing.iter().any(|text| text == cell)
            || MISSING_TEXTS.iter().any(|text| text.eq_ignore_ascii_case(cell))
    }
}

/// Returns whether a cell is text: neither empty nor a number, finite or not.
pub(super) fn is_text(cell: &str) -> bool {
    !cell.is_empty() && cell.replacen(',', ".", 1).parse::<f32>().is_err()
}

/// Returns the decimal mark of a cell. With a point and a comma, it is the last of them.
fn mark_of(cell: &str) -> Option<DecimalMark> {
    let last = cell.rfind(['.', ','])?;
    Some(if cell[last..].starts_with(',') { DecimalMark::Comma } else { DecimalMark::Point })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(decimal: Option<DecimalMark>) -> NumberReader {
        NumberReader::new(decimal, &["-9999".to_owned()])
    }

    #[test]
    fn numbers_missing_numbers_and_other_texts_are_told_apart() {
        let reader = reader(None);
        for (cell, expected) in [
            ("1.5", Cell::Number(1.5)),
            ("-3e2", Cell::Number(-300.0)),
            ("", Cell::Missing),
            ("NAN", Cell::Missing),
            ("N/A", Cell::Missing),
            ("-9999", Cell::Missing),
            ("-", Cell::Missing),
            ("inf", Cell::Other),
            ("1e39", Cell::Other),
            ("1.2.3", Cell::Other),
            ("1,234.5", Cell::Other),
            ("1.234,5", Cell::Other),
            ("12 V", Cell::Other),
        ] {
            assert_eq!(reader.read(cell, false), expected, "{cell}");
        }
    }

    #[test]
    fn the_first_decimal_mark_is_that_of_the_table() {
        let mut numbers = reader(None);
        assert_eq!(numbers.read("1,5", true), Cell::Other);
        numbers.learn("7");
        assert_eq!(numbers.read("1,5", false), Cell::Number(1.5));
        numbers.learn("1,5");
        assert_eq!(numbers.read("1,5", true), Cell::Number(1.5));
        assert_eq!(numbers.read("1.5", false), Cell::Other);
        let mut numbers = reader(None);
        numbers.learn("1.5");
        assert_eq!(numbers.read("1,500", false), Cell::Other);
        assert_eq!(reader(Some(DecimalMark::Comma)).read("1,5", true), Cell::Number(1.5));
        assert_eq!(reader(Some(DecimalMark::Comma)).read("1.5", true), Cell::Other);
    }

    #[test]
    fn a_number_is_no_text() {
        assert!(["x", "1;2", "°C", "1.2.3"].iter().all(|cell| is_text(cell)));
        assert!(["", "1", "1,5", "nan", "inf"].iter().all(|cell| !is_text(cell)));
    }
}
