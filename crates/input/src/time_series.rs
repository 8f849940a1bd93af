use lopside_bundle::TimeSeriesSpec;

/// Returns the tensor of a window `[length, channels]`, row-major: `(number − mean) / deviation`, channel by
/// channel.
#[must_use]
pub fn normalise_window(window: &[f32], spec: &TimeSeriesSpec) -> Vec<f32> {
    by_channel(window, spec, |number, mean, deviation| (number - mean) / deviation)
}

/// Returns the window of a tensor: the inverse of [`normalise_window`].
#[must_use]
pub fn restore_window(values: &[f32], spec: &TimeSeriesSpec) -> Vec<f32> {
    by_channel(values, spec, |value, mean, deviation| value * deviation + mean)
}

fn by_channel(numbers: &[f32], spec: &TimeSeriesSpec, map: fn(f32, f32, f32) -> f32) -> Vec<f32> {
    let channels = spec.mean.iter().zip(&spec.deviation).cycle();
    numbers.iter().zip(channels).map(|(&number, (&mean, &deviation))| map(number, mean, deviation)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_own_mean_and_deviation() {
        let spec = TimeSeriesSpec {
            length: 2,
            stride: 1,
            channels: vec!["a".into(), "b".into()],
            mean: vec![1.0, 10.0],
            deviation: vec![2.0, 5.0],
        };
        let window = [3.0, 20.0, 1.0, 0.0];
        assert_eq!(normalise_window(&window, &spec), [1.0, 2.0, 0.0, -2.0]);
        assert_eq!(restore_window(&normalise_window(&window, &spec), &spec), window);
    }
}
