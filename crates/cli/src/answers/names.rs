//! How points are called, and what was to be said of them: the one place for all answers.

use serde_json::Value;

use super::points::Points;

impl Points<'_> {
    /// How a point is called.
    #[expect(clippy::unused_self, reason = "names are to come with the data")]
    pub(super) fn id(&self, point: usize) -> String {
        point.to_string()
    }
}

/// How a point is called, its number where nothing is known of the points.
pub(super) fn name(points: Option<&Points<'_>>, point: usize) -> String {
    points.map_or_else(|| point.to_string(), |points| points.id(point))
}

/// What the model was to say of a point, null where nothing is known of the points.
pub(super) fn target(points: Option<&Points<'_>>, point: usize) -> Value {
    points.map_or(Value::Null, |points| points.target(point))
}
