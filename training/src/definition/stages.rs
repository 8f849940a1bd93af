//! Turns layers into stages: infers the shape of each layer and checks its rules.

use super::{
    Activation, Layer, Operation, RecurrentCell, Shape, Stage, Tap,
    rules::{RuleViolation, check_limits, check_name},
};

/// Maximum number of units of a row or channels of a map.
const MAX_WIDTH: usize = 1 << 16;
/// Maximum number of values between two layers.
const MAX_VALUES: usize = 1 << 24;
/// Maximum side of a filter.
const MAX_KERNEL: usize = 31;
/// Maximum factor of a sub-pixel convolution.
const MAX_FACTOR: usize = 16;
/// Maximum number of layers per model, counting each repetition.
const MAX_LAYERS: usize = 1024;
/// Maximum number of stacked recurrent layers.
const MAX_STACK: usize = 8;
/// Maximum nesting depth of residual layers.
const MAX_NESTING: usize = 4;

/// A part of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModelPart {
    Encoder,
    Decoder,
    Classifier,
}

/// State of the traversal through all parts.
#[derive(Debug, Default)]
pub(super) struct StageBuilder {
    /// The encoder's taps.
    pub(super) taps: Vec<Tap>,
    /// The path of each tap in the definition, and whether it is joined.
    tap_paths: Vec<(String, bool)>,
    layers: usize,
    nesting: usize,
}

impl StageBuilder {
    /// Returns the stages of these layers; `shape` is the input of the first one.
    pub(super) fn stages(
        &mut self,
        part: ModelPart,
        layers: &[Layer],
        mut shape: Shape,
        path: &str,
    ) -> Result<Vec<Stage>, RuleViolation> {
        let mut stages = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            let stage = self.build_stage(part, layer, shape, format!("{path}[{index}]"))?;
            shape = stage.next_input();
            stages.push(stage);
        }
        Ok(stages)
    }

    /// Checks that every tap is joined, since an unused tap would be sent for nothing.
    pub(super) fn check_joins(&self) -> Result<(), RuleViolation> {
        let Some(index) = self.tap_paths.iter().position(|(_, joined)| !joined) else { return Ok(()) };
        let problem = format!("no decoder layer joins tap `{}`", self.taps[index].name);
        Err(RuleViolation::new(
            &self.tap_paths[index].0,
            problem,
            "add a join layer to the decoder, or remove the tap",
        ))
    }

    fn build_stage(
        &mut self,
        part: ModelPart,
        layer: &Layer,
        input: Shape,
        path: String,
    ) -> Result<Stage, RuleViolation> {
        self.layers += 1;
        if self.layers > MAX_LAYERS {
            let problem = format!("the model has more than {MAX_LAYERS} layers");
            return Err(RuleViolation::new(path, problem, "use fewer layers or repetitions"));
        }
        let context = LayerContext { input, path: &path, layer };
        let (operation, output, activation) = match *layer {
            Layer::Dense { units, activation } => (Operation::Dense, context.dense_shape(units)?, activation),
            Layer::Conv { channels, kernel, stride, activation } => (
                Operation::Conv { kernel, stride },
                context.conv_shape(channels, kernel, stride)?,
                activation,
            ),
            Layer::ConvTranspose { channels, kernel, stride, activation } => (
                Operation::ConvTranspose { kernel, stride },
                context.transposed(channels, kernel, stride)?,
                activation,
            ),
            Layer::SubPixel { channels, factor, kernel, activation } => (
                Operation::SubPixel { kernel, factor },
                context.sub_pixel(channels, kernel, factor)?,
                activation,
            ),
            Layer::Residual { repeat, ref layers } => {
                (Operation::Residual(self.build_residual(part, repeat, layers, input, &path)?), input, None)
            }
            Layer::Flatten {} => (Operation::Flatten, context.flatten()?, None),
            Layer::Reshape { channels, height, width } => {
                (Operation::Reshape, context.reshape(Shape::Map { channels, height, width })?, None)
            }
            Layer::Gru { units, layers } => {
                context.recurrent_layer(part, RecurrentCell::Gru, units, layers)?
            }
            Layer::Lstm { units, layers } => {
                context.recurrent_layer(part, RecurrentCell::Lstm, units, layers)?
            }
            Layer::Tap { ref name, channels } => {
                (Operation::Tap(name.clone()), self.add_tap(part, name, channels, &context)?, None)
            }
            Layer::Join { ref tap } => {
                (Operation::Join(tap.clone()), self.join_tap(part, tap, &context)?, None)
            }
        };
        if output.values() > MAX_VALUES {
            let problem = format!("the output {output} has more than {MAX_VALUES} values");
            return Err(RuleViolation::new(path, problem, "use fewer channels or a smaller map"));
        }
        Ok(Stage { path, operation, activation, input, output })
    }

    fn build_residual(
        &mut self,
        part: ModelPart,
        repeat: usize,
        layers: &[Layer],
        shape: Shape,
        path: &str,
    ) -> Result<Vec<Vec<Stage>>, RuleViolation> {
        check_limits(&format!("{path}.repeat"), repeat, 1, MAX_LAYERS)?;
        self.nesting += 1;
        check_limits(&format!("{path}, nested residual layers"), self.nesting, 1, MAX_NESTING)?;
        let path = format!("{path}.layers");
        let blocks = (0..repeat).map(|_| self.build_block(part, layers, shape, &path)).collect();
        self.nesting -= 1;
        blocks
    }

    /// Builds one residual block, whose output is added to its input.
    fn build_block(
        &mut self,
        part: ModelPart,
        layers: &[Layer],
        shape: Shape,
        path: &str,
    ) -> Result<Vec<Stage>, RuleViolation> {
        let stages = self.stages(part, layers, shape, path)?;
        let output = stages.last().map_or(shape, Stage::next_input);
        if !stages.iter().any(|stage| stage.depth() > 0) {
            return Err(RuleViolation::new(
                path,
                "none of these layers has weights",
                "add a dense or conv layer",
            ));
        }
        if output == shape {
            return Ok(stages);
        }
        let problem = format!("the input is {shape} and the output is {output}, so they cannot be added");
        Err(RuleViolation::new(path, problem, format!("make the last layer output {shape}")))
    }

    fn add_tap(
        &mut self,
        part: ModelPart,
        tap: &str,
        channels: usize,
        context: &LayerContext<'_>,
    ) -> Result<Shape, RuleViolation> {
        if part != ModelPart::Encoder || self.nesting > 0 {
            let fix = "move the tap directly into encoder.layers";
            return Err(RuleViolation::new(context.path, "a tap must be on the encoder's main path", fix));
        }
        check_name(&format!("{}.name", context.path), tap)?;
        if self.taps.iter().any(|other| other.name == tap) {
            let problem = format!("another tap is already named `{tap}`");
            return Err(RuleViolation::new(context.path, problem, "use a different name for each tap"));
        }
        let shape = context.conv_shape(channels, 1, 1)?;
        self.taps.push(Tap { name: tap.to_owned(), shape });
        self.tap_paths.push((context.path.to_owned(), false));
        Ok(shape)
    }

    fn join_tap(
        &mut self,
        part: ModelPart,
        tap: &str,
        context: &LayerContext<'_>,
    ) -> Result<Shape, RuleViolation> {
        if part != ModelPart::Decoder || self.nesting > 0 {
            let fix = "move the join directly into decoder.layers";
            return Err(RuleViolation::new(context.path, "a join must be on the decoder's main path", fix));
        }
        let Some(index) = self.taps.iter().position(|known| known.name == tap) else {
            let names: Vec<&str> = self.taps.iter().map(|tap| tap.name.as_str()).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let problem =
                format!("the encoder does not have a tap `{}`; its taps: {known}", tap.escape_debug());
            return Err(RuleViolation::new(
                context.path,
                problem,
                "add a tap layer of this name to the encoder",
            ));
        };
        self.tap_paths[index].1 = true;
        let (map, found) = (context.require_map()?, self.taps[index].shape);
        let Shape::Map { channels, height, width } = found else { return Ok(found) };
        if (map.height, map.width) == (height, width) {
            return Ok(Shape::Map { channels: map.channels + channels, height, width });
        }
        let problem = format!(
            "tap `{tap}` has {height} rows of {width}, but the decoder's map has {} rows of {}",
            map.height, map.width
        );
        Err(RuleViolation::new(
            context.path,
            problem,
            "move the join to where the decoder's map has the size of the tap",
        ))
    }
}

/// A layer with its input shape and its path in the definition.
struct LayerContext<'a> {
    input: Shape,
    path: &'a str,
    layer: &'a Layer,
}

/// The dimensions of feature maps.
struct MapShape {
    channels: usize,
    height: usize,
    width: usize,
}

impl LayerContext<'_> {
    fn dense_shape(&self, units: usize) -> Result<Shape, RuleViolation> {
        self.limit("units", units, MAX_WIDTH)?;
        match self.input {
            Shape::Flat(_) => Ok(Shape::Flat(units)),
            other => {
                let problem = format!("a dense layer requires values in one row, but its input is {other}");
                Err(RuleViolation::new(self.path, problem, "put { layer = \"flatten\" } before it"))
            }
        }
    }

    fn conv_shape(&self, channels: usize, kernel: usize, stride: usize) -> Result<Shape, RuleViolation> {
        let map = self.require_map()?;
        self.limit("channels", channels, MAX_WIDTH)?;
        self.limit("kernel", kernel, MAX_KERNEL)?;
        let side = map.height.min(map.width);
        self.limit("stride", stride, side)?;
        if kernel > side {
            let problem =
                format!("a kernel of {kernel} is larger than the map of {}×{}", map.height, map.width);
            return Err(RuleViolation::new(self.path, problem, format!("use a kernel of at most {side}")));
        }
        let (height, width) = (map.height.div_ceil(stride), map.width.div_ceil(stride));
        Ok(Shape::Map { channels, height, width })
    }

    fn transposed(&self, channels: usize, kernel: usize, stride: usize) -> Result<Shape, RuleViolation> {
        let map = self.require_map()?;
        self.limit("channels", channels, MAX_WIDTH)?;
        self.limit("kernel", kernel, MAX_KERNEL)?;
        self.limit("stride", stride, MAX_KERNEL)?;
        if kernel < stride {
            let problem = format!("a kernel of {kernel} leaves gaps at a stride of {stride}");
            return Err(RuleViolation::new(self.path, problem, format!("use a kernel of {stride} or more")));
        }
        Ok(Shape::Map { channels, height: map.height * stride, width: map.width * stride })
    }

    fn sub_pixel(&self, channels: usize, kernel: usize, factor: usize) -> Result<Shape, RuleViolation> {
        self.limit("factor", factor, MAX_FACTOR)?;
        self.limit("channels", channels, MAX_WIDTH / (factor * factor))?;
        let map = self.require_map()?;
        self.conv_shape(channels * factor * factor, kernel, 1)?;
        Ok(Shape::Map { channels, height: map.height * factor, width: map.width * factor })
    }

    fn flatten(&self) -> Result<Shape, RuleViolation> {
        match self.input {
            Shape::Flat(values) => {
                let problem = format!("the {values} values are already in one row");
                Err(RuleViolation::new(self.path, problem, "remove the layer"))
            }
            other => Ok(Shape::Flat(other.values())),
        }
    }

    fn reshape(&self, map: Shape) -> Result<Shape, RuleViolation> {
        for (key, found) in ["channels", "height", "width"].into_iter().zip(map.dims()) {
            self.limit(key, found, MAX_WIDTH)?;
        }
        let (found, expected) = (self.input.values(), map.values());
        if found == expected {
            return Ok(map);
        }
        let problem = format!("the input {} has {found} values, but {map} has {expected}", self.input);
        Err(RuleViolation::new(
            self.path,
            problem,
            format!("make channels × height × width equal to {found}"),
        ))
    }

    fn recurrent_layer(
        &self,
        part: ModelPart,
        cell: RecurrentCell,
        units: usize,
        layers: usize,
    ) -> Result<(Operation, Shape, Option<Activation>), RuleViolation> {
        if part != ModelPart::Encoder {
            let problem = format!("{} reads a time series, which only the encoder receives", cell.name());
            return Err(RuleViolation::new(
                self.path,
                problem,
                "use dense layers: the decoder is feed-forward",
            ));
        }
        self.limit("units", units, MAX_WIDTH)?;
        self.limit("layers", layers, MAX_STACK)?;
        if !matches!(self.input, Shape::Series { .. }) {
            let problem = format!("{} requires a time series, but its input is {}", cell.name(), self.input);
            let fix = "make it the first layer, with [input] series = { length, channels }";
            return Err(RuleViolation::new(self.path, problem, fix));
        }
        Ok((Operation::Recurrent { cell, layers }, Shape::Flat(units), None))
    }

    fn require_map(&self) -> Result<MapShape, RuleViolation> {
        let fix = match self.input {
            Shape::Map { channels, height, width } => return Ok(MapShape { channels, height, width }),
            Shape::Flat(_) => "put { layer = \"reshape\", channels, height, width } before it",
            Shape::Series { .. } => "use gru, lstm, or flatten and dense for a time series",
        };
        let problem = format!("{} requires a map, but its input is {}", self.layer.name(), self.input);
        Err(RuleViolation::new(self.path, problem, fix))
    }

    fn limit(&self, key: &str, found: usize, max: usize) -> Result<(), RuleViolation> {
        check_limits(&format!("{}.{key}", self.path), found, 1, max)
    }
}
