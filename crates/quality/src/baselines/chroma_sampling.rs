use std::fmt;

/// The chroma sampling of a file with `YCbCr` samples. Grey files do not contain chroma.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ChromaSampling {
    /// 4:2:0: one chroma sample per four pixels, as is usual for cameras and on the web.
    #[default]
    Quarter,
    /// 4:4:4: one chroma sample per pixel.
    Full,
}

impl fmt::Display for ChromaSampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quarter => "4:2:0",
            Self::Full => "4:4:4",
        })
    }
}
