//! `method.name = "auto"`: the method that fits the model and the data.
//!
//! What is chosen depends on the configuration and the files alone: whatever machine computes a
//! share of a run, and whenever it is resumed, the method is the same.

use anyhow::Result;
use influence_backend_burn::FieldKind;
use influence_core::Dataset;
use toml::{Table, Value};

use super::Job;
use crate::{
    choice::{Problem, multiplications_of},
    config::{
        Layer, Method, MethodName, Mode,
        method::{AutoSettings, CurvatureSetting},
    },
    fit_settings::FitSettings,
    memory,
};

/// Operations for which residuals against the exact curvature are computed unasked: seconds.
const EXACT_RESIDUALS: f64 = 1e12;

impl Job {
    /// With the method that fits in the place of one that is to be chosen; a remark says which and
    /// why.
    ///
    /// # Errors
    /// When a key that is given does not apply to the method chosen, or the model cannot be
    /// evaluated.
    pub(super) fn with_chosen_method(mut self) -> Result<Self> {
        let Method::Auto(auto) = self.config.method()?.clone() else {
            return Ok(self);
        };
        let problem = self.problem(&auto)?;
        let mut name = problem.method();
        let mut why = reason(&problem, name);
        self.put_method(&auto, name, &problem)?;
        if let (MethodName::Ekfac, Some(memory)) = (name, self.config.compute.memory) {
            let settings = FitSettings::new(&self.config, &self.device, None)?;
            let needed = self.model.fit_bytes(&settings, &self.train)?;
            if needed > memory.bytes() {
                name = MethodName::Cg;
                why = format!(
                    "the factors of ekfac would take {}, and {} are granted; expect {}",
                    memory::size(needed),
                    memory::size(memory.bytes()),
                    problem.cost()
                );
                self.put_method(&auto, name, &problem)?;
            }
        }
        self.remarks.push(self.told(&why)?);
        Ok(self)
    }

    /// What the choice depends on.
    fn problem(&self, auto: &AutoSettings) -> Result<Problem> {
        let (config, layout) = (&self.config, self.model.layout());
        let shapes = layout.parameters().iter().map(|one| &one.shape[..]);
        let head = self.train.batch(0..1)?;
        let inputs = self.model.form().inputs.into_iter().zip(head.fields());
        let tokens = inputs.filter(|(form, _)| form.kind == FieldKind::Int);
        let positions = tokens.map(|(_, tokens)| tokens.shape().iter().product::<usize>());
        let work = multiplications_of(shapes, &self.sample_shape);
        let layers = config.model.layers.iter().flat_map(|layers| &layers.0);
        let mut weighted = layers.filter(|layer| layer.name().is_some());
        let only_layer = weighted.next().filter(|_| weighted.next().is_none());
        let has_outputs = self.model.outputs(&head)?.is_some();
        let [test, train] = self.shape();
        Ok(Problem {
            parameters: self.dim,
            multiplications: work.saturating_mul(positions.max().unwrap_or(1)),
            train,
            test,
            convex: matches!(only_layer, Some(Layer::Linear { .. })),
            has_outputs: has_outputs && auto.curved.curvature != CurvatureSetting::Hessian,
            // As it is written: 32 bits show more digits in 64.
            weight_decay: config.train.weight_decay.to_string().parse().ok(),
        })
    }

    /// Puts a method in the place of `auto`, in what the output says of its origin, too.
    fn put_method(
        &mut self,
        auto: &AutoSettings,
        name: MethodName,
        problem: &Problem,
    ) -> Result<()> {
        let damping = Value::try_from(problem.strength(name))?;
        let mut others = Table::from_iter([
            ("curvature".to_owned(), problem.curvature().name().into()),
            ("damping".to_owned(), damping),
        ]);
        let is_rough = name == MethodName::Ekfac && self.config.compute.mode == Mode::Up;
        if is_rough && problem.product() <= EXACT_RESIDUALS {
            others.insert("residual".into(), "exact".into());
        }
        let section = auto.section(name, others);
        self.config.method = Some(Method::of_section(section.clone().into())?);
        self.config.origin.insert("method".into(), section.into());
        Ok(())
    }

    /// What was chosen, and why.
    fn told(&self, why: &str) -> Result<String> {
        let method = self.config.method()?;
        let curvature = method.curved().map(|curved| curved.curvature.name());
        let dampings = method.dampings();
        let dampings: Vec<String> = dampings.iter().map(ToString::to_string).collect();
        Ok(format!(
            "method.name = \"auto\" is {} with the curvature {} and the damping {} for {} parameters: {why}",
            method.name().as_str(),
            curvature.unwrap_or_default(),
            dampings.join(", "),
            self.dim
        ))
    }
}

/// Why a method fits.
fn reason(problem: &Problem, name: MethodName) -> String {
    match name {
        MethodName::Direct => "so few are solved for exactly in seconds".to_owned(),
        MethodName::Cg => format!("exact influences take {}", problem.cost()),
        MethodName::Ekfac => format!("exact influences, by cg, would take {}", problem.cost()),
        _ => format!(
            "the Hessian has no Kronecker factors, and exact influences, by cg, would take {}",
            problem.cost()
        ),
    }
}
