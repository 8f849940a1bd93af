//! Fashion-MNIST, from the IDX files that Debian's `dataset-fashion-mnist` installs: 60,000 training and
//! 10,000 test images (Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747).

/// The folder that Debian installs the files in.
pub const FASHION_MNIST_FOLDER: &str = "/usr/share/datasets/fashion-mnist";
/// The names of the ten classes, in the order of the labels.
pub const FASHION_MNIST_LABELS: [&str; 10] =
    ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"];
