/// The built-in presets: pairs of name and TOML definition.
pub const PRESETS: [(&str, &str); 11] = [
    ("fashion-dense", include_str!("../../presets/fashion-dense.toml")),
    ("fashion-conv", include_str!("../../presets/fashion-conv.toml")),
    ("fashion-sr", include_str!("../../presets/fashion-sr.toml")),
    ("fashion-skip", include_str!("../../presets/fashion-skip.toml")),
    ("fashion-vae", include_str!("../../presets/fashion-vae.toml")),
    ("fashion-multitask", include_str!("../../presets/fashion-multitask.toml")),
    ("fashion-semi", include_str!("../../presets/fashion-semi.toml")),
    ("fashion-anomaly", include_str!("../../presets/fashion-anomaly.toml")),
    ("digits-anomaly", include_str!("../../presets/digits-anomaly.toml")),
    ("shuttle", include_str!("../../presets/shuttle.toml")),
    ("series-gru", include_str!("../../presets/series-gru.toml")),
];
