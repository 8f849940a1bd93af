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
        let mut of_class = vec![Vec::new(); 256];
        for (index, &label) in labels.iter().enumerate() {
            of_class[usize::from(label)].push(index);
        }
        let classes = of_class.iter().filter(|members| !members.is_empty()).count().max(1);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut chosen = vec![false; labels.len()];
        let present = of_class.iter_mut().enumerate().filter(|(_, members)| !members.is_empty());
        for (rank, (class, members)) in present.enumerate() {
            let share = count / classes + usize::from(rank < count % classes);
            if share > members.len() {
                return Err(DataError::TooFewLabels { class, share, found: members.len() });
            }
            members.shuffle(&mut rng);
            members[..share].iter().for_each(|&index| chosen[index] = true);
        }
        let (labelled, unlabelled) = (0..labels.len()).partition(|&index| chosen[index]);
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
    fn the_classes_share_the_labels() {
        let labels = labels();
        let draw = Labelled::draw(&labels, 20, 7).unwrap();
        let of = |class| draw.labelled.iter().filter(|&&index| labels[index] == class).count();
        assert_eq!([of(0), of(4), of(9)], [7, 7, 6]);
        assert_eq!(draw.labelled.len() + draw.unlabelled.len(), 100);
        assert!(draw.labelled.iter().all(|index| !draw.unlabelled.contains(index)));
    }

    #[test]
    fn the_seed_decides_and_larger_draws_hold_smaller_ones() {
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
