//! The inputs of a network held against those of the data.

use anyhow::Result;
use influence_core::{FieldForm, FieldKind};
use influence_data::{
    InputKey, InputShape,
    key::{KeyError, KeyPath},
};
use influence_onnx::{AxisLength, InputForm};

use crate::config::Config;

/// The shape in which a network reads one sample of each of its inputs, in its order.
///
/// # Errors
/// When the data have others, or arrays of another shape; messages list both sides.
pub(crate) fn samples(
    network: &[InputForm],
    data: &[InputShape],
    config: &Config,
) -> Result<Vec<Vec<usize>>> {
    let key = KeyPath::from(config.data.keys()[0]).key("inputs");
    let places = placed(network, data);
    let places = places.ok_or_else(|| KeyError::new(key, misfit(network, data)))?;
    let each = network.iter().zip(places);
    each.map(|(input, place)| {
        let given = &data[place];
        sample(input, given).ok_or_else(|| {
            let key = KeyPath::from(config.data.keys()[0]).join(of_key(&given.key));
            let wrong = format!(
                "the network reads {}, got samples of shape {:?}",
                shown(input),
                given.shape
            );
            KeyError::new(key, wrong).into()
        })
    })
    .collect()
}

/// The place of the array of each input of a network, by name or in order; none where the data have
/// others.
pub(crate) fn placed(network: &[InputForm], data: &[InputShape]) -> Option<Vec<usize>> {
    if network.len() != data.len() {
        return None;
    }
    let is_named = |input: &InputShape| matches!(input.key, InputKey::Name(_));
    if !data.iter().any(is_named) {
        return Some((0..data.len()).collect());
    }
    let place = |input: &InputForm| {
        data.iter()
            .position(|given| given.key.field() == input.name)
    };
    network.iter().map(place).collect()
}

/// The path of an input below its data set.
fn of_key(key: &InputKey) -> KeyPath {
    let inputs = KeyPath::from("inputs");
    match key {
        InputKey::Only => inputs,
        InputKey::Place(place) => inputs.index(*place),
        InputKey::Name(name) => inputs.key(name),
    }
}

/// What the two sides have.
pub(crate) fn misfit(network: &[InputForm], data: &[InputShape]) -> String {
    let wanted: Vec<String> = network.iter().map(shown).collect();
    let given = data.iter().map(|input| match &input.key {
        InputKey::Name(name) => name.clone(),
        key => key.to_string(),
    });
    let example = network
        .iter()
        .map(|input| format!("{} = \"{0}.npy\"", input.name));
    format!(
        "the network reads {}; the data have {}: give {}",
        wanted.join(", "),
        given.collect::<Vec<_>>().join(", "),
        match network {
            [_] => "one array".to_owned(),
            _ => format!("inputs = {{ {} }}", example.collect::<Vec<_>>().join(", ")),
        }
    )
}

/// An input in words: `ids (n, 16) of integers`.
pub(crate) fn shown(input: &InputForm) -> String {
    let kind = match input.kind {
        FieldKind::Float => "floats",
        FieldKind::Int => "integers",
        FieldKind::Bool => "truth values",
    };
    format!("{} {} of {kind}", input.name, input.shape())
}

/// The shape in which a network reads a sample of an array, if it can.
pub(crate) fn sample(input: &InputForm, given: &InputShape) -> Option<Vec<usize>> {
    let rank = input.sides.as_ref().map_or(given.shape.len() + 1, Vec::len);
    let formed = given.formed(FieldForm {
        kind: input.kind,
        rank,
    })?;
    let sides = input.sides.iter().flat_map(|sides| sides.iter().skip(1));
    let fits = sides.zip(&formed).all(|(side, length)| match side {
        AxisLength::Fixed(fixed) => fixed == length,
        AxisLength::Free(_) => true,
    });
    fits.then_some(formed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(sides: Option<&[usize]>, kind: FieldKind) -> InputForm {
        let sides = sides.map(|sides| {
            let fixed = sides.iter().map(|&side| AxisLength::Fixed(side));
            [AxisLength::Free(Some("n".into()))]
                .into_iter()
                .chain(fixed)
                .collect()
        });
        InputForm {
            name: "x".into(),
            kind,
            sides,
        }
    }

    #[test]
    fn samples_have_the_shape_that_the_network_reads() {
        use FieldKind::{Float, Int};
        for (sides, kind, given, expected) in [
            (
                Some(&[3_usize][..]),
                Float,
                &[3_usize][..],
                Some(&[3_usize][..]),
            ),
            (Some(&[3]), Float, &[4], None),
            (Some(&[1, 2, 2]), Float, &[2, 2], Some(&[1, 2, 2])),
            (Some(&[4]), Float, &[2, 2], Some(&[4])),
            (None, Int, &[5], Some(&[5])),
            // A number for each sample.
            (Some(&[]), Float, &[1], Some(&[])),
            (Some(&[1]), Float, &[1], Some(&[1])),
            (Some(&[2, 2]), Int, &[4], None),
        ] {
            let given = InputShape {
                key: InputKey::Only,
                shape: given.to_vec(),
            };
            let found = sample(&input(sides, kind), &given);
            assert_eq!(found.as_deref(), expected, "{sides:?} {given:?}");
        }
    }
}
