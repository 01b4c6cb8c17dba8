//! The names of points and classes, and the targets of points.

use serde_json::Value;

use super::points::Points;

/// How a point is called, its number where it has no name.
pub fn name(points: Option<&Points<'_>>, point: usize) -> String {
    let id = points.and_then(|points| points.id(point));
    id.unwrap_or_else(|| point.to_string())
}

/// The id of a point, null where it has none but its number.
pub fn id(points: Option<&Points<'_>>, point: usize) -> Value {
    points.and_then(|points| points.id(point)).into()
}

/// The name of a class, its number where it has none.
pub fn class(points: Option<&Points<'_>>, class: usize) -> Value {
    points.map_or_else(|| class.into(), |points| points.named(class))
}

/// The target of a point, null where nothing is known of the points.
pub fn target(points: Option<&Points<'_>>, point: usize) -> Value {
    points.map_or(Value::Null, |points| points.target(point))
}
