//! A small number of labels, drawn evenly from the classes, for semi-supervised learning.

use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use crate::DataError;

/// The samples that keep their label and those that do not; both lists are in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// Indices of samples whose label may be used.
    pub labelled: Vec<usize>,
    /// Indices of all other samples.
    pub unlabelled: Vec<usize>,
}

impl Labelled {
    /// Draws `count` labels, equally many per class; the remainder goes to the lowest classes. With the same
    /// seed, a larger draw contains every sample of a smaller one.
    ///
    /// # Errors
    /// [`DataError::TooFewLabels`] when a class has fewer samples than its share.
    pub fn draw(labels: &[u8], count: usize, seed: u64) -> Result<Self, DataError> {
        let mut by_class = vec![Vec::new(); 256];
        for (index, &label) in labels.iter().enumerate() {
            by_class[usize::from(label)].push(index);
        }
        let class_count = by_class.iter().filter(|members| !members.is_empty()).count().max(1);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut is_labelled = vec![false; labels.len()];
        let present = by_class.iter_mut().enumerate().filter(|(_, members)| !members.is_empty());
        for (rank, (class, members)) in present.enumerate() {
            let quota = count / class_count + usize::from(rank < count % class_count);
            if quota > members.len() {
                return Err(DataError::TooFewLabels { class, share: quota, found: members.len() });
            }
            members.shuffle(&mut rng);
            members[..quota].iter().for_each(|&index| is_labelled[index] = true);
        }
        let (labelled, unlabelled) = (0..labels.len()).partition(|&index| is_labelled[index]);
        Ok(Self { labelled, unlabelled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<u8> {
        (0..100).map(|i| [0, 4, 4, 9][i % 4]).collect()
    }

    #[test]
    fn labels_are_split_evenly_between_classes() {
        let labels = labels();
        let draw = Labelled::draw(&labels, 20, 7).unwrap();
        let count_of = |class| draw.labelled.iter().filter(|&&index| labels[index] == class).count();
        assert_eq!([count_of(0), count_of(4), count_of(9)], [7, 7, 6]);
        assert_eq!(draw.labelled.len() + draw.unlabelled.len(), 100);
        assert!(draw.labelled.iter().all(|index| !draw.unlabelled.contains(index)));
    }

    #[test]
    fn draws_follow_the_seed_and_are_nested() {
        let draw = |count, seed| Labelled::draw(&labels(), count, seed).unwrap().labelled;
        assert_eq!(draw(30, 1), draw(30, 1));
        assert_ne!(draw(30, 1), draw(30, 2));
        assert!(draw(9, 1).iter().all(|index| draw(30, 1).contains(index)));
    }

    #[test]
    fn a_class_with_too_few_samples_is_named() {
        let error = Labelled::draw(&labels(), 90, 1).unwrap_err();
        assert!(matches!(error, DataError::TooFewLabels { class: 0, share: 30, found: 25 }), "{error}");
    }
}
