/// The presets: name and definition.
pub const PRESETS: [(&str, &str); 7] = [
    ("fashion-dense", include_str!("../../presets/fashion-dense.toml")),
    ("fashion-conv", include_str!("../../presets/fashion-conv.toml")),
    ("fashion-sr", include_str!("../../presets/fashion-sr.toml")),
    ("fashion-skip", include_str!("../../presets/fashion-skip.toml")),
    ("fashion-vae", include_str!("../../presets/fashion-vae.toml")),
    ("fashion-multitask", include_str!("../../presets/fashion-multitask.toml")),
    ("series-gru", include_str!("../../presets/series-gru.toml")),
];
