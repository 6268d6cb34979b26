//! Maps of embeddings against scikit-learn (`golden/make_map.py`): principal components by number, t-SNE by trustworthiness.

use safetensors::SafeTensors;
use seed::eval::{EmbeddingMap, Embeddings, MapConfig, MapMethod, embedding_map};

const GOLDEN: &[u8] = include_bytes!("../golden/map.safetensors");
const NEIGHBOURS: usize = 12;

fn numbers<const BYTES: usize, T>(name: &str, read: fn([u8; BYTES]) -> T) -> Vec<T> {
    let file = SafeTensors::deserialize(GOLDEN).unwrap();
    let bytes = file.tensor(name).unwrap().data().to_vec();
    bytes.chunks_exact(BYTES).map(|chunk| read(chunk.try_into().unwrap())).collect()
}

fn map(name: &str, dim: usize, method: MapMethod) -> EmbeddingMap {
    let rows = numbers(name, f32::from_le_bytes);
    let config = MapConfig { method, ..MapConfig::default() };
    embedding_map(&Embeddings::new(&rows, dim).unwrap(), &[], &config).unwrap()
}

/// T(k) = 1 − 2 / (n·k·(2n − 3k − 1)) · Σ_i Σ_{j ∈ U(i)} (r(i, j) − k): U(i) are the k nearest on the map that are not among the k
/// nearest in space, where j has rank r. As `sklearn.manifold.trustworthiness`.
fn trustworthiness(rows: &[f32], dim: usize, points: &[[f64; 2]], k: usize) -> f64 {
    let n = points.len();
    let unit: Vec<Vec<f64>> = rows
        .chunks_exact(dim)
        .map(|row| {
            let length = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
            row.iter().map(|&value| f64::from(value) / length).collect()
        })
        .collect();
    let ranked = |distance: &dyn Fn(usize) -> f64, own: usize| {
        let mut others: Vec<usize> = (0..n).filter(|&other| other != own).collect();
        others.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)));
        others
    };
    let mut penalty = 0;
    for own in 0..n {
        let far = |other: usize| unit[own].iter().zip(&unit[other]).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let near = |other: usize| (0..2).map(|i| (points[own][i] - points[other][i]).powi(2)).sum::<f64>();
        let in_space = ranked(&far, own);
        for neighbour in &ranked(&near, own)[..k] {
            let rank = in_space.iter().position(|other| other == neighbour).unwrap() + 1;
            penalty += rank.saturating_sub(k);
        }
    }
    1.0 - 2.0 / (n as f64 * k as f64 * (2.0 * n as f64 - 3.0 * k as f64 - 1.0)) * penalty as f64
}

#[test]
fn principal_components_are_scikit_learns() {
    for (rows, plane, dim) in [("rows", "plane", 16), ("wide", "wide_plane", 40)] {
        let found = map(rows, dim, MapMethod::Pca);
        let expected = numbers(plane, f64::from_le_bytes);
        assert_eq!(found.points().len(), expected.len() / 2);
        for (found, expected) in found.points().iter().flatten().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{rows}: {found} {expected}");
        }
    }
    let explained = numbers("explained", f64::from_le_bytes);
    for (found, expected) in map("rows", 16, MapMethod::Pca).explained().unwrap().iter().zip(explained) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
}

#[test]
fn tsne_is_as_trustworthy_as_scikit_learns_and_the_same_again() {
    let (rows, expected) = (numbers("rows", f32::from_le_bytes), numbers("trust", f64::from_le_bytes));
    let pca = map("rows", 16, MapMethod::Pca);
    let of_pca = trustworthiness(&rows, 16, pca.points(), NEIGHBOURS);
    assert!((of_pca - expected[0]).abs() < 1e-6, "the measure: {of_pca}, scikit-learn's {}", expected[0]);

    let found = map("rows", 16, MapMethod::Tsne);
    assert_eq!((found.method(), found.explained()), (MapMethod::Tsne, None));
    let trust = trustworthiness(&rows, 16, found.points(), NEIGHBOURS);
    println!("trustworthiness {trust:.4}, scikit-learn's {expected:.4?}");
    let least = expected[1..].iter().copied().fold(1.0, f64::min);
    assert!(trust > least - 0.005 && trust > of_pca + 0.01, "{trust}, scikit-learn's {expected:?}");
    assert_eq!(map("rows", 16, MapMethod::Tsne), found);
}
