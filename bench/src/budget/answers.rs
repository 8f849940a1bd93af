use std::{collections::BTreeMap, fmt};

/// The number of each kind of answer to an attack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AnswerCounts(BTreeMap<String, usize>);

impl AnswerCounts {
    /// Counts one answer.
    pub(super) fn add(&mut self, answer: impl Into<String>) {
        *self.0.entry(answer.into()).or_default() += 1;
    }
}

impl fmt::Display for AnswerCounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (answer, count)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}{count} × {answer}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_kind() {
        let mut counts = AnswerCounts::default();
        for answer in ["429", "401", "429"] {
            counts.add(answer);
        }
        assert_eq!(counts.to_string(), "1 × 401, 2 × 429");
        assert_eq!(AnswerCounts::default().to_string(), "");
    }
}
