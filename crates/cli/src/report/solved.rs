use anyhow::Result;
use influence_calculators::ZarrField;
use influence_core::FieldSource;
use influence_jobs::{output::location, queries::Stored};

/// How the system of each test row was solved.
#[derive(Debug)]
pub(super) struct Solved {
    /// The residual, relative to the right-hand side.
    pub(super) residuals: Vec<f64>,
    pub(super) iterations: Vec<f64>,
    /// How many rows ended with which status.
    pub(super) rows: Vec<(String, u64)>,
}

impl Solved {
    /// Reads what the solver reported, if rows were solved.
    pub(super) fn read(stored: &Stored) -> Result<Option<Self>> {
        let own = &stored.influences.attributes()["influence"];
        if own["factors"] != "solved" {
            return Ok(None);
        }
        let rows = own["solver"]["rows"].as_object().into_iter().flatten();
        let rows = rows.map(|(status, rows)| (status.clone(), rows.as_u64().unwrap_or(0)));
        Ok(Some(Self {
            residuals: column(stored, "solver_residual")?,
            iterations: column(stored, "solver_iterations")?,
            rows: rows.collect(),
        }))
    }

    /// Whether all rows are solved but for rounding, of which a chart tells nothing.
    pub(super) fn is_exact(&self) -> bool {
        !self.is_iterative() && self.rows.iter().all(|(status, _)| status == "converged")
    }

    /// The largest residual of all rows.
    pub(super) fn worst(&self) -> f64 {
        self.residuals.iter().copied().fold(0.0, f64::max)
    }

    /// Whether the method takes steps of which there is a number to show.
    pub(super) fn is_iterative(&self) -> bool {
        self.iterations.iter().any(|&iterations| iterations > 1.0)
    }
}

fn column(stored: &Stored, array: &str) -> Result<Vec<f64>> {
    let field = ZarrField::open(location(&stored.path)?, array)?;
    Ok(field.rows(0..field.shape()[0])?.floats().collect())
}
