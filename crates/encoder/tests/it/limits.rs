//! Input files that declare, or decompress to, more than they may: refused with the limit, and before memory is
//! allocated for them.

use std::{
    cell::Cell,
    fs::{self, File},
    io::{self, Cursor, Read, Write as _},
    path::{Path, PathBuf},
    rc::Rc,
};

use flate2::{Compression, write::GzEncoder};
use lopside_bundle::TimeSeriesSpec;
use lopside_encoder::{
    InputLimits,
    source::{
        EncoderInput, NamedInputs, idx,
        numbers::{open_tensors, open_tensors_within, open_windows_within, read_tensors},
        open_inputs, open_inputs_within,
    },
};
use proptest::prelude::*;
use tempfile::TempDir;

/// Returns the header of an array.
fn npy_header(descr: &str, shape: &str) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&118_u16.to_le_bytes());
    bytes.extend_from_slice(format!("{text:<117}\n").as_bytes());
    bytes
}

fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    [npy_header(descr, shape), values.to_vec()].concat()
}

/// A folder with one file.
struct Input {
    _folder: TempDir,
    paths: [PathBuf; 1],
}

impl Input {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        Self { _folder: folder, paths: [path] }
    }

    /// Creates a compressed file of these bytes, followed by zeros.
    fn packed(name: &str, bytes: &[u8], zeros: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let mut packed = GzEncoder::new(File::create(&path).unwrap(), Compression::fast());
        packed.write_all(bytes).unwrap();
        io::copy(&mut io::repeat(0).take(zeros), &mut packed).unwrap();
        packed.finish().unwrap();
        Self { _folder: folder, paths: [path] }
    }

    /// Returns the error of the first image.
    fn image_error(&self, limits: InputLimits) -> String {
        open_inputs_within(&self.paths, limits).unwrap().next().unwrap().unwrap_err().to_string()
    }

    /// Returns the error of the first tensor of two values.
    fn tensor_error(&self, limits: InputLimits) -> String {
        open_tensors_within(&self.paths, &[2], limits).unwrap().next().unwrap().unwrap_err().to_string()
    }

    /// Returns the windows of two rows.
    fn windows(&self, limits: InputLimits) -> NamedInputs {
        let spec = TimeSeriesSpec {
            length: 2,
            stride: 1,
            channels: vec!["a".into()],
            mean: vec![0.0],
            deviation: vec![1.0],
        };
        open_windows_within(&self.paths, &spec, limits).unwrap()
    }

    /// Returns the error of the first window.
    fn window_error(&self, limits: InputLimits) -> String {
        self.windows(limits).next().unwrap().unwrap_err().to_string()
    }
}

/// A reader of these bytes and then of zeros without end, which counts what is read.
struct Endless {
    start: Cursor<Vec<u8>>,
    read_bytes: Rc<Cell<u64>>,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.start.read(buffer)? {
            0 => io::repeat(0).read(buffer)?,
            count => count,
        };
        self.read_bytes.set(self.read_bytes.get() + count as u64);
        Ok(count)
    }
}

#[test]
fn an_array_that_declares_too_many_values_is_refused_before_its_values_are_read() {
    for shape in ["(1073741824, 2)", "(4294967296, 4294967296, 4294967296, 2)", "(33554433, 2)"] {
        let read_bytes = Rc::new(Cell::new(0));
        let start = Cursor::new(npy_header("<f4", shape));
        let reader = Box::new(Endless { start, read_bytes: Rc::clone(&read_bytes) });
        let error = read_tensors(Path::new("a.npy"), reader, &[2]).err().unwrap().to_string();
        assert!(error.contains("over 67108864 values"), "{error}");
        assert!(read_bytes.get() < 1000, "{} bytes of the values were read", read_bytes.get());
    }
}

#[test]
fn an_array_that_declares_more_than_follows_is_refused() {
    let input = Input::new("a.npy", &npy("<f4", "(33554432, 2)", &[0; 40]));
    let error = input.tensor_error(InputLimits::default());
    assert!(error.contains("a.npy: not a readable .npy file"), "{error}");
}

#[test]
fn a_header_without_end_is_refused() {
    let mut file = b"\x93NUMPY\x02\x00".to_vec();
    file.extend_from_slice(&u32::MAX.to_le_bytes());
    let read_bytes = Rc::new(Cell::new(0));
    let reader = Box::new(Endless { start: Cursor::new(file), read_bytes: Rc::clone(&read_bytes) });
    let error = read_tensors(Path::new("a.npy"), reader, &[2]).err().unwrap().to_string();
    assert!(error.contains("header has 4294967295 bytes, over the limit of 65536"), "{error}");
    assert!(read_bytes.get() < 1000);
}

#[test]
fn a_compressed_file_is_unpacked_up_to_the_limit() {
    let limits = InputLimits { max_file_bytes: 1 << 20, ..InputLimits::default() };
    let over = "over the limit of 1048576 bytes per file, after decompression";
    let array = Input::packed("a.npy.gz", &npy_header("<f4", "(1000000, 2)"), 8_000_000);
    assert!(fs::metadata(&array.paths[0]).unwrap().len() < 1 << 17, "the file itself is small");
    let error = array.tensor_error(limits);
    assert!(error.contains(over), "{error}");
    let images = Input::packed("a.idx.gz", &[0, 0, 8, 3, 0, 0, 16, 0, 0, 0, 0, 16, 0, 0, 0, 16], 16 << 20);
    let error = open_inputs_within(&images.paths, limits).unwrap().find_map(Result::err).unwrap().to_string();
    assert!(error.contains(over), "{error}");
    let rows = Input::packed("a.csv.gz", &b"1\n".repeat(1 << 20), 0);
    let error = rows.window_error(limits);
    assert!(error.contains(over), "{error}");
    let plain = Input::new("a.csv", &b"1\n".repeat(1 << 20));
    let error = plain.window_error(limits);
    assert!(error.contains(over), "{error}");
}

#[test]
fn a_table_of_too_many_values_is_refused() {
    let limits = InputLimits { max_values: 5, ..InputLimits::default() };
    let error = Input::new("a.csv", b"1\n2\n3\n4\n5\n6\n").window_error(limits);
    assert!(error.contains("over 5 numbers"), "{error}");
    let table = Input::new("a.csv", b"1\n2\n3\n4\n5\n");
    assert_eq!(table.windows(limits).map(Result::unwrap).count(), 4);
}

#[test]
fn a_file_of_too_many_inputs_is_refused() {
    let limits = InputLimits { max_inputs: 3, ..InputLimits::default() };
    let over = "inputs, over the limit of 3 per file";
    let errors = [
        Input::new("a.csv", b"1\n2\n3\n4\n5\n").window_error(limits),
        Input::new("a.npy", &npy("<f4", "(4, 2)", &[0; 32])).tensor_error(limits),
        Input::new("a.npy", &npy("|u1", "(4, 1, 1)", &[0; 4])).image_error(limits),
        Input::new("a.idx", &[0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9])
            .image_error(limits),
    ];
    for error in errors {
        assert!(error.contains(&format!("it has 4 {over}")), "{error}");
    }
    let endless = [&[0_u8, 0, 8, 1][..], &u32::MAX.to_be_bytes()].concat();
    let labels = Input::new("a.idx", &endless);
    let error = idx::read_labels(&labels.paths[0]).unwrap_err().to_string();
    assert!(error.contains("it has 4294967295 inputs, over the limit of 1048576"), "{error}");
}

#[test]
fn images_over_the_limit_are_refused_in_every_kind_of_file() {
    let idx = |height: u32, width: u32| {
        [&[0_u8, 0, 8, 3, 0, 0, 0, 1][..], &height.to_be_bytes(), &width.to_be_bytes()].concat()
    };
    for (input, expected) in [
        (
            Input::new("a.idx", &idx(30_000, 30_000)),
            "30000×30000 pixels is over the limit of 40000000 pixels",
        ),
        (Input::new("a.idx", &idx(u32::MAX, 1)), "over the limit of 32768 pixels per side"),
        (Input::new("a.npy", &npy_header("|u1", "(7000, 7000)")), "over the limit of 40000000 pixels"),
        (Input::new("a.npy", &npy_header("|u1", "(1, 40000)")), "over the limit of 32768 pixels per side"),
        (Input::new("a.pgm", b"P5\n13000 13000\n255\n"), "13000×13000 pixels is over the limit of 40000000"),
    ] {
        let error = input.image_error(InputLimits::default());
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let small = InputLimits { max_pixels: 3, ..InputLimits::default() };
    let error = Input::new("a.pgm", b"P5\n2 2\n255\n1234").image_error(small);
    assert!(error.contains("an image of 2×2 pixels is over the limit of 3 pixels"), "{error}");
}

#[test]
fn arrays_of_both_byte_orders_and_sizes_have_the_same_values() {
    let numbers = [1.5_f32, -2.0, 0.0, 3e10];
    let bytes = |convert: fn(f32) -> Vec<u8>| numbers.into_iter().flat_map(convert).collect::<Vec<u8>>();
    for (descr, values) in [
        ("<f4", bytes(|number| number.to_le_bytes().to_vec())),
        (">f4", bytes(|number| number.to_be_bytes().to_vec())),
        ("<f8", bytes(|number| f64::from(number).to_le_bytes().to_vec())),
        (">f8", bytes(|number| f64::from(number).to_be_bytes().to_vec())),
    ] {
        let input = Input::new("a.npy", &npy(descr, "(2, 2)", &values));
        let found: Vec<f32> = open_tensors(&input.paths, &[2])
            .unwrap()
            .flat_map(|named| match named.unwrap().input {
                EncoderInput::Values(values) => values,
                EncoderInput::Image(_) => panic!("an image instead of numbers"),
            })
            .collect();
        assert_eq!(found, numbers, "{descr}");
    }
    let error = Input::new("a.npy", &npy("<i4", "(2, 2)", &[0; 16])).tensor_error(InputLimits::default());
    assert!(error.contains("the type '<i4' is not supported: use float32 or float64"), "{error}");
}

#[test]
fn images_of_an_array_are_read_one_by_one() {
    let bytes = Input::new("a.npy", &npy("|u1", "(3, 1, 2)", &[1, 2, 3, 4, 5, 6]));
    let floats = [0.0_f32, 1.0, 0.2, 0.4, 0.6, 0.8].map(f32::to_le_bytes).concat();
    let floats = Input::new("b.npy", &npy("<f4", "(2, 1, 1, 3)", &floats));
    let images = |input: &Input| -> Vec<(String, Vec<u8>)> {
        let found = open_inputs(&input.paths).unwrap().map(Result::unwrap);
        found
            .map(|named| match named.input {
                EncoderInput::Image(image) => (named.name, image.into_bytes()),
                EncoderInput::Values(_) => panic!("numbers instead of an image"),
            })
            .collect()
    };
    let names = ["a-00000", "a-00001", "a-00002"].map(str::to_owned);
    let expected: Vec<_> = names.into_iter().zip([vec![1, 2], vec![3, 4], vec![5, 6]]).collect();
    assert_eq!(images(&bytes), expected);
    let names = ["b-00000", "b-00001"].map(str::to_owned);
    let expected: Vec<_> = names.into_iter().zip([vec![0, 255, 51], vec![102, 153, 204]]).collect();
    assert_eq!(images(&floats), expected);
}

proptest! {
    #[test]
    fn no_damage_of_an_array_panics_or_yields_other_shapes(
        changes in prop::collection::vec((0_usize..176, any::<u8>()), 0..6),
        length in 0_usize..200,
    ) {
        let mut file = npy("<f4", "(6, 2)", &[0; 48]);
        for (position, byte) in changes {
            file[position] = byte;
        }
        file.truncate(length);
        if let Ok(found) = read_tensors(Path::new("a.npy"), Box::new(Cursor::new(file)), &[2]) {
            for named in found {
                let EncoderInput::Values(values) = named.unwrap().input else { panic!("an image") };
                prop_assert_eq!(values.len(), 2);
            }
        }
    }

    #[test]
    fn no_header_panics(text in "\\{('(descr|shape|fortran_order)'|:|,|[()\\[\\]{}]|'<f4'|\"|True|False|[0-9]{1,22}L?| ){0,24}\\}?") {
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend_from_slice(&(text.len() as u16).to_le_bytes());
        file.extend_from_slice(text.as_bytes());
        let _ = read_tensors(Path::new("a.npy"), Box::new(Cursor::new(file)), &[2]);
    }
}
