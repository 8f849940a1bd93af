use lopside_bundle::SeriesSpec;

/// Returns the tensor of a window `[length, channels]`, row-major: `(number − mean) / deviation`, channel by
/// channel.
#[must_use]
pub fn normalised(window: &[f32], spec: &SeriesSpec) -> Vec<f32> {
    by_channel(window, spec, |number, mean, deviation| (number - mean) / deviation)
}

/// Returns the window of a tensor: the inverse of [`normalised`].
#[must_use]
pub fn restored(values: &[f32], spec: &SeriesSpec) -> Vec<f32> {
    by_channel(values, spec, |value, mean, deviation| value * deviation + mean)
}

fn by_channel(numbers: &[f32], spec: &SeriesSpec, map: fn(f32, f32, f32) -> f32) -> Vec<f32> {
    let channels = spec.mean.iter().zip(&spec.deviation).cycle();
    numbers.iter().zip(channels).map(|(&number, (&mean, &deviation))| map(number, mean, deviation)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_own_mean_and_deviation() {
        let spec = SeriesSpec {
            length: 2,
            stride: 1,
            channels: vec!["a".into(), "b".into()],
            mean: vec![1.0, 10.0],
            deviation: vec![2.0, 5.0],
        };
        let window = [3.0, 20.0, 1.0, 0.0];
        assert_eq!(normalised(&window, &spec), [1.0, 2.0, 0.0, -2.0]);
        assert_eq!(restored(&normalised(&window, &spec), &spec), window);
    }
}
