//! What a model needs per sample.

use crate::Precision;

/// Memory and cost per sample, estimated: a planner cuts the work by them so that it fits a bound
/// on memory.
///
/// Bytes are upper estimates, operations are orders of magnitude; neither changes a result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Footprint {
    /// Bytes of a factor.
    pub factor: usize,
    /// Bytes of a train gradient, in the form in which it is kept.
    pub gradient: usize,
    /// Bytes in use per test point while factors are solved, the factors included and a
    /// [pass](Self::pass) excluded.
    pub solving: usize,
    /// Bytes in use while factors are solved besides, for some of the points at a time.
    pub workspace: PassFootprint,
    /// Bytes in use per train point while gradients are computed, the gradients included and a
    /// [pass](Self::pass) excluded.
    pub differentiating: usize,
    /// Bytes in use while the model is evaluated and differentiated, which it is on some of the
    /// points at a time.
    pub pass: PassFootprint,
    /// Bytes in use while factors are scored against gradients, both of them excluded.
    pub scoring: ScoringFootprint,
    /// Floating-point operations of a train gradient.
    pub gradient_flops: f64,
    /// Floating-point operations of the score of a pair.
    pub score_flops: f64,
    /// Whether factors are in a compact form: as plain numbers, kept and read back, they would be
    /// larger, slower to score, and give other last bits.
    pub compact: bool,
    /// Whether a factor costs no more than about a gradient, as inverses say that are
    /// [immediate](crate::solver::Inverse::is_immediate); otherwise solving is expensive, such as
    /// passes over all data, and a row is solved by one process only.
    pub immediate: bool,
    /// What is in memory of the samples of groups besides; nothing where points are by themselves.
    pub piece: Piece,
    /// The chunks with which the device is efficient.
    pub chunk: EfficientChunk,
}

/// The points of a chunk with which a device is efficient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EfficientChunk {
    /// Test points beyond which nothing is gained; compact factors gain from more.
    pub test: usize,
    /// Train points that suffice.
    pub train: usize,
}

impl EfficientChunk {
    /// On the CPU.
    pub const CPU: Self = Self {
        test: 64,
        train: 64,
    };
    /// On a GPU, where an operation takes as long to begin as millions of numbers take to compute.
    pub const GPU: Self = Self {
        test: 256,
        train: 1024,
    };
}

/// The samples of groups that are in memory at a time: they are read and added piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Piece {
    /// The number of samples.
    pub samples: usize,
    /// Bytes in use while their gradients are computed and added.
    pub bytes: usize,
}

/// The working memory of an evaluation of a model with its derivatives, or of solving. It does not
/// grow with the points of a task: more of them than fit in a pass are taken in several passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassFootprint {
    /// Bytes per point.
    pub per_point: usize,
    /// Most points in a pass.
    pub points: usize,
}

impl PassFootprint {
    /// Of what takes no memory worth counting.
    pub const NONE: Self = Self {
        per_point: 0,
        points: usize::MAX,
    };

    /// Bytes in use for this many points.
    pub fn bytes(&self, points: usize) -> usize {
        points.min(self.points).saturating_mul(self.per_point)
    }
}

/// The form in which factors come to be scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactorForm {
    /// As the model solved them, which may be more compact than plain numbers.
    Solved,
    /// As plain numbers, read from where they are kept, or of sums of gradients.
    Stored,
}

/// The working memory of scores: a term for each test point, for each train point, and for each
/// pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScoringFootprint {
    /// Bytes per test point.
    pub per_test: usize,
    /// Bytes per train point.
    pub per_train: usize,
    /// Bytes per pair of points, the scores included.
    pub per_pair: usize,
}

impl Footprint {
    /// The most bytes that a piece of groups takes, unless a single sample takes more.
    const PIECE_BYTES: usize = 64 << 20;
    /// The most samples of a piece, beyond which kernels gain nothing.
    const PIECE_SAMPLES: usize = 256;

    /// The footprint of a model that keeps gradients as plain vectors.
    pub fn dense(dim: usize, precision: Precision) -> Self {
        let vector = dim.saturating_mul(precision.bytes());
        Self {
            factor: vector,
            gradient: vector,
            solving: vector.saturating_mul(2),
            workspace: PassFootprint::NONE,
            differentiating: vector.saturating_mul(2),
            pass: PassFootprint::NONE,
            scoring: ScoringFootprint {
                per_test: 0,
                per_train: 0,
                per_pair: 2 * precision.bytes(),
            },
            gradient_flops: 6.0 * dim as f64,
            score_flops: 2.0 * dim as f64,
            compact: false,
            immediate: false,
            piece: Piece::default(),
            chunk: EfficientChunk::CPU,
        }
    }

    /// The footprint with a solver that holds this many stacks of the size of its right-hand sides.
    #[must_use]
    pub fn with_solver(self, stacks: usize) -> Self {
        let solving = self.factor.saturating_mul(stacks).max(self.solving);
        Self { solving, ..self }
    }

    /// The footprint with a solver that has this in use, for some of its right-hand sides at a
    /// time.
    #[must_use]
    pub fn with_workspace(self, workspace: PassFootprint) -> Self {
        Self { workspace, ..self }
    }

    /// The footprint where each row is held against a
    /// [reference](crate::BlockInfluence::with_reference): a pass over all data, with plain vectors
    /// of this many bytes each.
    #[must_use]
    pub fn with_reference(self, vector: usize) -> Self {
        /// The row, its product, the right-hand side and what is left of it.
        const VECTORS: usize = 4;
        Self {
            solving: self.solving.saturating_add(vector.saturating_mul(VECTORS)),
            immediate: false,
            ..self
        }
    }

    /// The footprint of this many models of the same data scored together, each with its own
    /// gradients: checkpoints.
    #[must_use]
    pub fn of_checkpoints(self, count: usize) -> Self {
        let more = count.saturating_sub(1);
        Self {
            gradient: self.gradient.saturating_mul(count),
            differentiating: self.differentiating + more.saturating_mul(self.gradient),
            gradient_flops: self.gradient_flops * count as f64,
            ..self.of_factors(count)
        }
    }

    /// The footprint of this many dampings of a model scored together.
    #[must_use]
    pub fn of_dampings(self, count: usize) -> Self {
        self.of_factors(count).with_numbers(count)
    }

    /// The footprint of scores of this many numbers each, joined on the host.
    #[must_use]
    pub fn with_numbers(mut self, count: usize) -> Self {
        self.scoring.per_pair += 2 * count * size_of::<f64>();
        self
    }

    /// The footprint where train gradients are corrected by their leverage: one vector is solved
    /// for each of this many outputs of a point, for all points in one pass.
    #[must_use]
    pub fn with_leverage(self, outputs: usize) -> Self {
        Self {
            pass: PassFootprint {
                points: usize::MAX,
                ..self.pass
            },
            ..self.with_solved_gradients(outputs)
        }
    }

    /// The footprint where this many vectors of each train point are made, solved for, and
    /// multiplied by each other: its gradient, or one for each output. The operations of solving
    /// are not counted.
    #[must_use]
    pub fn with_solved_gradients(self, vectors: usize) -> Self {
        let products = vectors as f64 * self.score_flops;
        Self {
            differentiating: vectors
                .saturating_mul(self.gradient)
                .saturating_add(self.differentiating)
                .saturating_add(self.solving),
            gradient_flops: (1.0 + vectors as f64) * (self.gradient_flops + products),
            ..self
        }
    }

    /// The footprint of derivatives by inputs of this many numbers, in place of scores:
    /// differentiating twice holds about three times what differentiating once does, is done for
    /// all points of a chunk at once, and repeated for every pair.
    #[must_use]
    pub fn of_perturbations(mut self, numbers: usize, precision: Precision) -> Self {
        let once = self.differentiating.saturating_add(self.pass.per_point);
        self.scoring.per_train += 3 * once;
        self.scoring.per_pair = numbers * (size_of::<f64>() + precision.bytes());
        self.gradient = numbers * size_of::<f64>();
        self.differentiating = self.gradient;
        self.score_flops = 4.0 * self.gradient_flops;
        self.gradient_flops = 0.0;
        self
    }

    /// The footprint where points of a side, test or train, are groups of samples, for gradients
    /// of this length.
    ///
    /// The piece follows from the footprint alone: the bits of a sum depend on it, and no two runs
    /// of the same work may differ in them.
    #[must_use]
    pub fn of_groups(self, [test, train]: [bool; 2], dim: usize, precision: Precision) -> Self {
        if !test && !train {
            return self;
        }
        let dense = Self::dense(dim, precision);
        let sample = self.solving.saturating_add(dense.gradient).max(1);
        let samples = (Self::PIECE_BYTES / sample).clamp(1, Self::PIECE_SAMPLES);
        let piece = Piece {
            samples,
            bytes: samples
                .saturating_mul(sample)
                .saturating_add(self.pass.bytes(samples)),
        };
        // A sum of thin gradients is a plain vector.
        let gradient = if train {
            dense.gradient.max(self.factor)
        } else {
            0
        };
        Self {
            piece,
            gradient: self.gradient.max(gradient),
            differentiating: self.differentiating.max(2 * gradient),
            ..self
        }
    }

    /// This many factors for each test point.
    fn of_factors(self, count: usize) -> Self {
        let more = count.saturating_sub(1);
        Self {
            factor: self.factor.saturating_mul(count),
            solving: self.solving + more.saturating_mul(self.factor),
            score_flops: self.score_flops * count as f64,
            ..self
        }
    }

    /// Bytes in use while the gradients of this many points are computed, the gradients included:
    /// those of a pass, or of joining what several passes gave.
    pub fn differentiating_bytes(&self, points: usize) -> usize {
        // What was given up in pieces is not given back to the system at once.
        let joining = if points > self.pass.points {
            points.saturating_mul(self.gradient + self.gradient / 2)
        } else {
            0
        };
        points
            .saturating_mul(self.differentiating)
            .saturating_add(self.pass.bytes(points).max(joining))
    }

    /// Bytes in use while this many test points are differentiated, and factors solved of their
    /// gradients, the factors included.
    pub fn solving_bytes(&self, points: usize) -> usize {
        // Right-hand sides, and the pieces that they are joined of.
        let rhs = self.factor.max(self.gradient).saturating_mul(2);
        let differentiating = points
            .saturating_mul(rhs)
            .saturating_add(self.pass.bytes(points));
        points
            .saturating_mul(self.solving)
            .saturating_add(self.workspace.bytes(points))
            .max(differentiating)
    }

    /// Bytes in use while `test` factors are scored against `train` gradients, both of them
    /// excluded.
    pub fn scoring_bytes(&self, test: usize, train: usize) -> usize {
        let ScoringFootprint {
            per_test,
            per_train,
            per_pair,
        } = self.scoring;
        let pairs = test.saturating_mul(train).saturating_mul(per_pair);
        pairs
            .saturating_add(per_test.saturating_mul(test))
            .saturating_add(per_train.saturating_mul(train))
    }
}
