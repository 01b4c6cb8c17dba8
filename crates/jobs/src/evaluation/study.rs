use std::fmt::Write;

use crate::{
    digest,
    retraining::{Absence, Study, Subset},
};

/// How much of a digest tells studies apart.
const DIGITS: usize = 16;

/// A study whose name has the digest of its subsets, so that a bank holds any number of them, finds
/// again what it has, and takes more seeds.
pub(super) fn named(kind: &str, subsets: Vec<Subset>, absence: Absence, seeds: Vec<u64>) -> Study {
    let mut text = String::new();
    for subset in &subsets {
        // Writing to a string does not fail.
        let _ = write!(text, "{:?}", subset.points());
    }
    let digest = digest::of_bytes(text.as_bytes());
    let digits = digest.rsplit(':').next().unwrap_or_default();
    let digits = &digits[..DIGITS.min(digits.len())];
    Study {
        name: format!("{kind}_{digits}{}", suffix(absence, &seeds)),
        subsets,
        absence,
        seeds,
    }
}

/// How the name of a study ends, by how trainings are without points, and from which seed on.
pub(super) fn suffix(absence: Absence, seeds: &[u64]) -> String {
    let first = seeds.first().copied().unwrap_or(0);
    match absence {
        Absence::Removed => format!("_from_{first}"),
        Absence::Weightless => format!("_in_place_from_{first}"),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Result;

    use super::*;

    #[test]
    fn equal_studies_have_one_name_and_others_have_others() -> Result<()> {
        let name = |points: &[usize], seed| -> Result<String> {
            let subsets = vec![Subset::new(points.to_vec())?];
            Ok(named("removal", subsets, Absence::Removed, vec![seed]).name)
        };
        assert_eq!(name(&[0, 1], 3)?, name(&[1, 0], 3)?);
        assert_ne!(name(&[0, 1], 3)?, name(&[0, 1], 4)?);
        assert!(name(&[0, 1], 3)?.starts_with("removal_"));
        assert_ne!(name(&[0, 1], 3)?, name(&[0, 2], 3)?);
        let subsets = vec![Subset::new(vec![0, 1])?];
        let in_place = named("removal", subsets, Absence::Weightless, vec![3]).name;
        assert_ne!(name(&[0, 1], 3)?, in_place);
        Ok(())
    }
}
