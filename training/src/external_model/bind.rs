//! Binds numbers to the open dimensions of a model.

use lopside_onnx::{Extent, ModelInput};

use crate::ExternalModelError;

/// Numbers bound to dimension symbols.
#[derive(Debug)]
pub(super) struct Bindings {
    bound: Vec<(String, i64)>,
    /// Symbols of unbound batch dimensions, which count as 1.
    pub(super) unbound_batches: Vec<String>,
}

impl Bindings {
    /// Parses `SYMBOL=N`, `INPUT.AXIS=N` and `INPUT=N,N,…` arguments for these inputs.
    pub(super) fn new(inputs: &[ModelInput], arguments: &[String]) -> Result<Self, ExternalModelError> {
        let mut bindings = Self { bound: Vec::new(), unbound_batches: Vec::new() };
        for argument in arguments {
            bindings.bind_argument(inputs, argument).map_err(|reason| {
                ExternalModelError::InvalidBinding { argument: argument.clone(), reason }
            })?;
        }
        bindings.bind_batches(inputs);
        Ok(bindings)
    }

    pub(super) fn symbols(&self) -> Vec<(&str, i64)> {
        self.bound.iter().map(|(symbol, number)| (symbol.as_str(), *number)).collect()
    }

    /// Parses one argument and binds its numbers. The error is the reason.
    fn bind_argument(&mut self, inputs: &[ModelInput], argument: &str) -> Result<(), String> {
        let (name, value) = argument.split_once('=').ok_or("use the form NAME=NUMBER")?;
        let numbers: Option<Vec<i64>> =
            value.split(',').map(|text| text.trim().parse().ok().filter(|&number| number > 0)).collect();
        let numbers = numbers.ok_or_else(|| format!("{value:?} is not a list of positive integers"))?;
        match (inputs.iter().find(|input| input.name == name), &numbers[..]) {
            (Some(input), numbers) => self.bind_input(input, numbers),
            (None, [number]) => self.bind_symbol(inputs, name, *number),
            (None, _) => Err(format!("the model does not have an input `{name}`")),
        }
    }

    fn bind_input(&mut self, input: &ModelInput, numbers: &[i64]) -> Result<(), String> {
        let dims = input.dims.as_deref().filter(|dims| dims.len() == numbers.len()).ok_or_else(|| {
            let rank =
                input.dims.as_ref().map_or("an unknown number of".to_owned(), |dims| dims.len().to_string());
            format!("{} numbers for `{}`, which has {rank} dimensions", numbers.len(), input.name)
        })?;
        for (axis, (dim, &number)) in dims.iter().zip(numbers).enumerate() {
            match dim {
                Extent::Linear { symbol, .. } => self.set(symbol, number)?,
                Extent::Fixed(extent) if i64::try_from(*extent) == Ok(number) => {}
                fixed => return Err(format!("axis {axis} of `{}` is always {fixed}", input.name)),
            }
        }
        Ok(())
    }

    fn bind_symbol(&mut self, inputs: &[ModelInput], name: &str, number: i64) -> Result<(), String> {
        let open: Vec<&str> = open_symbols(inputs).collect();
        if open.contains(&name) {
            return self.set(name, number);
        }
        Err(match &open[..] {
            [] => "none of the model's inputs has an open dimension".to_owned(),
            open => format!(
                "no input has an open dimension `{name}`; the open dimensions are {}",
                open.join(", ")
            ),
        })
    }

    fn set(&mut self, symbol: &str, number: i64) -> Result<(), String> {
        match self.bound.iter().find(|(bound, _)| bound == symbol) {
            Some((_, existing)) if *existing != number => {
                Err(format!("`{symbol}` is already bound to {existing}"))
            }
            Some(_) => Ok(()),
            None => {
                self.bound.push((symbol.to_owned(), number));
                Ok(())
            }
        }
    }

    /// Binds open first dimensions to 1, because costs are per item.
    fn bind_batches(&mut self, inputs: &[ModelInput]) {
        for input in inputs {
            if let Some(Extent::Linear { symbol, .. }) = input.dims.as_ref().and_then(|dims| dims.first())
                && self.bound.iter().all(|(bound, _)| bound != symbol)
            {
                self.bound.push((symbol.clone(), 1));
                self.unbound_batches.push(symbol.clone());
            }
        }
    }
}

fn open_symbols(inputs: &[ModelInput]) -> impl Iterator<Item = &str> {
    inputs.iter().filter_map(|input| input.dims.as_deref()).flatten().filter_map(|dim| match dim {
        Extent::Linear { symbol, .. } => Some(symbol.as_str()),
        Extent::Fixed(_) | Extent::Unknown => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(arguments: &[&str]) -> Result<Vec<(String, i64)>, String> {
        let open =
            |symbol: &str| Extent::Linear { symbol: symbol.into(), numerator: 1, denominator: 1, offset: 0 };
        let dims = Some(vec![open("n"), Extent::Fixed(3), open("x.2")]);
        let inputs = [ModelInput { name: "x".into(), element_type: 1, dims }];
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.into()).collect();
        Bindings::new(&inputs, &arguments).map(|bindings| bindings.bound).map_err(|error| error.to_string())
    }

    #[test]
    fn a_batch_is_one_unless_it_is_bound() {
        assert_eq!(bound(&[]).unwrap(), [("n".to_owned(), 1)]);
        assert_eq!(bound(&["n=2", "x.2=48"]).unwrap(), [("n".to_owned(), 2), ("x.2".to_owned(), 48)]);
        assert_eq!(bound(&["x=2,3,48"]).unwrap(), bound(&["n=2", "x.2=48"]).unwrap());
    }

    #[test]
    fn a_wrong_binding_is_explained() {
        for (argument, reason) in [
            ("n", "NAME=NUMBER"),
            ("n=0", "not a list of positive integers"),
            ("n=many", "not a list of positive integers"),
            ("h=4", "open dimensions are n, x.2"),
            ("y=1,2", "not have an input `y`"),
            ("x=1,3", "2 numbers for `x`, which has 3"),
            ("x=1,4,48", "axis 1 of `x` is always 3"),
        ] {
            let error = bound(&[argument]).unwrap_err();
            assert!(error.contains(reason) && error.contains(argument), "{error}");
        }
        assert!(bound(&["n=1", "n=2"]).unwrap_err().contains("already bound to 1"));
    }
}
