//! Neighbours and kNN against PyTorch (`golden/make_knn.py`) and against the plainest possible loops.

use safetensors::SafeTensors;
use seed::data::random::{Purpose, generator, unit};
use seed::eval::{Embeddings, KnnConfig, classify, evaluate, evaluate_splits, nearest, nearest_to};

const GOLDEN: &[u8] = include_bytes!("../golden/knn.safetensors");

fn numbers<const BYTES: usize, T>(file: &SafeTensors<'_>, name: &str, read: fn([u8; BYTES]) -> T) -> Vec<T> {
    let bytes = file.tensor(name).unwrap().data().to_vec();
    bytes.chunks_exact(BYTES).map(|chunk| read(chunk.try_into().unwrap())).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn random_rows(rows: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut rng = generator(seed, 0, 0, Purpose::Noise);
    (0..rows * dim).map(|_| (unit(&mut rng) - 0.5) as f32).collect()
}

#[test]
fn scores_equal_pytorch() {
    let file = SafeTensors::deserialize(GOLDEN).unwrap();
    let (gallery, queries) =
        (numbers(&file, "gallery", f32::from_le_bytes), numbers(&file, "queries", f32::from_le_bytes));
    let dim = file.tensor("gallery").unwrap().shape()[1];
    let (gallery, queries) = (Embeddings::new(&gallery, dim).unwrap(), Embeddings::new(&queries, dim).unwrap());
    let gallery_labels = numbers(&file, "gallery_labels", i64::from_le_bytes);
    let query_labels = numbers(&file, "query_labels", i64::from_le_bytes);
    let settings = numbers(&file, "settings", f64::from_le_bytes);
    let scores = numbers(&file, "scores", f64::from_le_bytes);
    assert_eq!(settings.len(), 10);
    for (setting, expected) in settings.chunks_exact(2).zip(scores.chunks_exact(2)) {
        let (k, temperature) = (setting[0] as usize, setting[1]);
        let score = evaluate(&gallery, &gallery_labels, &queries, &query_labels, k, temperature).unwrap();
        // The reference averages in float32.
        assert!((score.accuracy - expected[0]).abs() < 1e-6, "k {k}: {} {}", score.accuracy, expected[0]);
        assert!((score.balanced_recall - expected[1]).abs() < 1e-6, "k {k}: {} {}", score.balanced_recall, expected[1]);
        assert_eq!(score.confusion.values().sum::<u64>(), 90);
    }
}

#[test]
fn self_neighbours_equal_pytorch() {
    let file = SafeTensors::deserialize(GOLDEN).unwrap();
    let gallery = numbers(&file, "gallery", f32::from_le_bytes);
    let found = nearest(&Embeddings::new(&gallery, 16).unwrap(), 7).unwrap();
    let expected = numbers(&file, "self_neighbours", i64::from_le_bytes);
    assert!(found.indices().iter().map(|&index| i64::from(index)).eq(expected));
}

#[test]
fn neighbours_equal_a_naive_search_across_blocks() {
    // More queries than one block of 1024 rows holds.
    let (rows, dim, k) = (1500, 8, 5);
    let values = random_rows(rows, dim, 1);
    let table = Embeddings::new(&values, dim).unwrap();
    let found = nearest(&table, k).unwrap();
    assert_eq!((found.len(), found.k()), (rows, k));
    for (i, (indices, similarities)) in found.rows().enumerate() {
        let mut naive: Vec<(f64, usize)> =
            (0..rows).filter(|&j| j != i).map(|j| (cosine(table.row(i).unwrap(), table.row(j).unwrap()), j)).collect();
        naive.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (place, (&index, &similarity)) in indices.iter().zip(similarities).enumerate() {
            // Two that are equal to within float32 may change places.
            assert!((naive[place].0 - f64::from(similarity)).abs() < 1e-6);
            assert!((cosine(table.row(i).unwrap(), table.row(index as usize).unwrap()) - naive[place].0).abs() < 1e-6);
        }
    }
}

#[test]
fn a_query_that_lies_in_the_gallery_finds_itself() {
    let values = random_rows(50, 12, 2);
    let table = Embeddings::new(&values, 12).unwrap();
    let found = nearest_to(&table, &table, 1).unwrap();
    assert!(found.indices().iter().enumerate().all(|(i, &index)| i == index as usize));
}

#[test]
fn splits_are_the_same_for_every_network_and_independent_of_row_length() {
    let values = random_rows(120, 6, 3);
    let labels: Vec<i64> = (0..120).map(|i| i64::from(i % 3 == 0)).collect();
    let config = KnnConfig::default();
    let scores = evaluate_splits(&Embeddings::new(&values, 6).unwrap(), &labels, &config).unwrap();
    let doubled: Vec<f32> = values.iter().map(|value| value * 2.0).collect();
    assert_eq!(scores, evaluate_splits(&Embeddings::new(&doubled, 6).unwrap(), &labels, &config).unwrap());
    assert_eq!(scores.splits.len(), 5);
    assert!(scores.splits.iter().all(|score| score.confusion.values().sum::<u64>() == 40));
    let other =
        evaluate_splits(&Embeddings::new(&values, 6).unwrap(), &labels, &KnnConfig { seed: 1, ..config }).unwrap();
    assert_ne!(scores, other);
}

#[test]
fn classes_that_are_apart_are_told_apart() {
    let mut values = Vec::new();
    let labels: Vec<i64> = (0..60).map(|i| i % 3).collect();
    let noise = random_rows(60, 3, 4);
    for (row, &label) in noise.chunks_exact(3).zip(&labels) {
        values.extend(
            row.iter().enumerate().map(|(axis, value)| value * 0.1 + f32::from(u8::from(axis as i64 == label))),
        );
    }
    let table = Embeddings::new(&values, 3).unwrap();
    assert_eq!(evaluate_splits(&table, &labels, &KnnConfig::default()).unwrap().balanced_recall.mean, 1.0);
    assert_eq!(classify(&table, &labels, &table, 60, 0.01).unwrap(), labels);
}
