//! The meaning that attributes give to the numbers of an array: the CF conventions, as xarray
//! writes and reads them.

use base64::{Engine, engine::general_purpose::STANDARD};
use influence_core::Values;
use ndarray::ArrayD;
use serde_json::{Map, Value};

/// The kind of number that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberKind {
    Float,
    Signed,
    Unsigned,
    Bool,
}

/// How stored numbers become those that are meant: `stored · scale + offset` in 64-bit floats.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Meaning {
    /// Numbers that stand for a missing one.
    missing: Vec<f64>,
    scale: Option<f64>,
    offset: Option<f64>,
    /// Whether the numbers are truth values, true for all but 0.
    truth: bool,
}

impl Meaning {
    /// Reads the attributes of an array of this kind of numbers; `fill` is the fill value where it
    /// stands for missing numbers.
    ///
    /// # Errors
    /// What an attribute says that is not understood, and what to do.
    pub(super) fn of(
        attributes: &Map<String, Value>,
        fill: Option<&Value>,
        stored: NumberKind,
    ) -> Result<Self, String> {
        refuse_others(attributes, stored)?;
        let number = |key: &str| match attributes.get(key) {
            None => Ok(None),
            Some(value) => single(value)
                .and_then(Value::as_f64)
                .map(Some)
                .ok_or_else(|| format!("an attribute `{key}` that is not a number: {value}")),
        };
        let (scale, offset) = (number("scale_factor")?, number("add_offset")?);
        let whole = |key: &str| {
            attributes
                .get(key)
                .and_then(single)
                .is_some_and(|it| !it.is_f64())
        };
        if stored == NumberKind::Float && offset.is_none() && whole("scale_factor") {
            return Err(
                "floats with an integer as `scale_factor`, by which readers cut off what is behind the point; write it as a float, or save the numbers that are meant"
                    .into(),
            );
        }
        let listed = ["_FillValue", "missing_value"].map(|key| (key, attributes.get(key)));
        let marks = listed.into_iter().chain([("fill_value", fill)]);
        let mut missing = Vec::new();
        for (key, value) in marks.filter_map(|(key, value)| Some((key, value?))) {
            missing
                .extend(missing_numbers(value).ok_or_else(|| {
                    format!("an attribute `{key}` that is not a number: {value}")
                })?);
        }
        missing.retain(|number| !number.is_nan());
        let truth = attributes.get("dtype").and_then(Value::as_str) == Some("bool");
        Ok(Self {
            missing,
            scale,
            offset,
            truth,
        })
    }

    /// The numbers that are meant.
    ///
    /// # Errors
    /// The place of the first number that stands for a missing one, and this number.
    pub(super) fn apply(&self, stored: Values) -> Result<Values, (usize, f64)> {
        if let Some(place) = self.find_missing(&stored) {
            return Err(place);
        }
        Ok(match stored {
            Values::I64(numbers) if self.truth => {
                numbers.mapv(|number| i64::from(number != 0)).into()
            }
            stored if self.scale.is_none() && self.offset.is_none() => stored,
            Values::F32(numbers) => self.decoded(&numbers, f64::from),
            Values::F64(numbers) => self.decoded(&numbers, |number| number),
            Values::I64(numbers) => self.decoded(&numbers, |number| number as f64),
            Values::Bool(truths) => self.decoded(&truths, |truth| f64::from(u8::from(truth))),
        })
    }

    fn decoded<T: Copy>(&self, numbers: &ArrayD<T>, float: impl Fn(T) -> f64) -> Values {
        let (scale, offset) = (self.scale.unwrap_or(1.0), self.offset.unwrap_or(0.0));
        numbers.mapv(|number| float(number) * scale + offset).into()
    }

    #[expect(
        clippy::float_cmp,
        clippy::cast_possible_truncation,
        reason = "a missing number is written bit by bit, in the precision of the others or in 64 bits"
    )]
    fn find_missing(&self, stored: &Values) -> Option<(usize, f64)> {
        self.missing.iter().find_map(|&missing| {
            let place = match stored {
                Values::F32(numbers) => numbers
                    .iter()
                    .position(|&number| number == missing as f32 || f64::from(number) == missing),
                Values::F64(numbers) => numbers.iter().position(|&number| number == missing),
                Values::I64(numbers) => numbers.iter().position(|&number| number as f64 == missing),
                Values::Bool(_) => None,
            };
            Some((place?, missing))
        })
    }
}

/// Refuses attributes that change what numbers mean in another way.
fn refuse_others(attributes: &Map<String, Value>, stored: NumberKind) -> Result<(), String> {
    let text = |key: &str| {
        attributes.get(key).map(|value| match value {
            Value::String(text) => text.to_ascii_lowercase(),
            other => other.to_string(),
        })
    };
    let unsigned = text("_Unsigned");
    let turned = match unsigned.as_deref() {
        Some("true") => stored == NumberKind::Signed,
        Some("false") => stored == NumberKind::Unsigned,
        _ => false,
    };
    let save = "save the numbers that are meant";
    if turned {
        return Err(format!(
            "an attribute `_Unsigned` that turns the sign of its integers; {save}"
        ));
    }
    if let Some(units) = text("units").filter(|units| units.contains(" since ")) {
        return Err(format!(
            "times ({units}); {save} without the attribute `units`"
        ));
    }
    match text("dtype")
        .filter(|kind| kind.starts_with("datetime64") || kind.starts_with("timedelta64"))
    {
        Some(kind) => Err(format!(
            "times (attribute `dtype`: {kind}); {save} without the attribute"
        )),
        None => Ok(()),
    }
}

/// A value, or the only one in a list.
fn single(value: &Value) -> Option<&Value> {
    match value {
        Value::Array(values) => match values.as_slice() {
            [only] => Some(only),
            _ => None,
        },
        value => Some(value),
    }
}

/// Numbers in the forms that attributes take: bare, in a list, by name, or, from floats of xarray,
/// as eight bytes in base64.
fn missing_numbers(value: &Value) -> Option<Vec<f64>> {
    match value {
        Value::Array(values) => {
            let numbers: Option<Vec<Vec<f64>>> = values.iter().map(missing_numbers).collect();
            numbers.map(|numbers| numbers.concat())
        }
        Value::Number(number) => Some(vec![number.as_f64()?]),
        Value::Bool(truth) => Some(vec![f64::from(u8::from(*truth))]),
        Value::String(text) => match text.as_str() {
            "NaN" | "nan" => Some(vec![f64::NAN]),
            "Infinity" => Some(vec![f64::INFINITY]),
            "-Infinity" => Some(vec![f64::NEG_INFINITY]),
            packed => {
                let bytes: [u8; 8] = STANDARD.decode(packed).ok()?.try_into().ok()?;
                Some(vec![f64::from_le_bytes(bytes)])
            }
        },
        Value::Null => Some(Vec::new()),
        Value::Object(_) => None,
    }
}
