//! Numbers formatted for people.

/// Formats a number with a comma before every group of three digits.
///
/// ```
/// assert_eq!([7, 999, 1000, 1_234_567].map(lopside_quality::group_digits), ["7", "999", "1,000", "1,234,567"]);
/// ```
#[must_use]
pub fn group_digits(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", group_digits(number / 1000), number % 1000),
    }
}
