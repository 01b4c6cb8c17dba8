use std::collections::BTreeMap;

use ndarray::Array2;

/// How soon the frequency of a term saturates.
const K1: f64 = 1.2;
/// How much the length of a document counts.
const B: f64 = 0.75;

/// Okapi BM25 `(queries, documents)` of sequences of tokens, with the inverse document frequency
/// `ln(1 + (N − d + ½) / (d + ½))`, which is never negative. A token counts as often as the query
/// has it.
pub(super) fn scores(queries: &[Vec<i64>], documents: &[Vec<i64>]) -> Array2<f64> {
    let counted: Vec<BTreeMap<i64, f64>> = documents.iter().map(|it| counts(it)).collect();
    let mut holding: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (document, counts) in counted.iter().enumerate() {
        for &token in counts.keys() {
            holding.entry(token).or_default().push(document);
        }
    }
    let count = documents.len() as f64;
    let mean = documents.iter().map(Vec::len).sum::<usize>() as f64 / count;
    let mut scores = Array2::zeros((queries.len(), documents.len()));
    for (query, mut row) in queries.iter().zip(scores.rows_mut()) {
        for (token, asked) in counts(query) {
            let Some(documents_of) = holding.get(&token) else {
                continue;
            };
            let held = documents_of.len() as f64;
            let rarity = (1.0 + (count - held + 0.5) / (held + 0.5)).ln();
            for &document in documents_of {
                let found = counted[document][&token];
                let length = documents[document].len() as f64 / mean;
                let saturated = found * (K1 + 1.0) / (found + K1 * (1.0 - B + B * length));
                row[document] += asked * rarity * saturated;
            }
        }
    }
    scores
}

/// How often each token is there.
fn counts(tokens: &[i64]) -> BTreeMap<i64, f64> {
    let mut counts = BTreeMap::new();
    for &token in tokens {
        *counts.entry(token).or_default() += 1.0;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_tokens_in_short_documents_count_most() {
        let documents = [vec![1, 1, 2], vec![2, 3], vec![2, 2, 2, 4]];
        let got = scores(&[vec![1, 2], vec![9]], &documents);
        // Written out: N = 3, mean length 3.
        let rarity = |held: f64| (1.0 + (3.0 - held + 0.5) / (held + 0.5)).ln();
        let term =
            |found: f64, length: f64| found * 2.2 / (found + 1.2 * (0.25 + 0.75 * length / 3.0));
        let expected = [
            rarity(1.0) * term(2.0, 3.0) + rarity(3.0) * term(1.0, 3.0),
            rarity(3.0) * term(1.0, 2.0),
            rarity(3.0) * term(3.0, 4.0),
        ];
        for (got, expected) in got.row(0).iter().zip(expected) {
            assert!((got - expected).abs() < 1e-14, "{got} {expected}");
        }
        assert!(got.row(1).iter().all(|&score| score == 0.0));
    }
}
