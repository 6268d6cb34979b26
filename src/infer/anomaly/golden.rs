//! Patches, scores and heat maps against the paper's formulas, written down in tests/golden/make_anomaly.py.

use std::path::Path;

use tch::Tensor;

use super::patches::patches;
use super::score::{heat_map, score};
use crate::model::weights::{StateDict, read};

fn golden() -> StateDict {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/anomaly.safetensors")).unwrap()
}

fn tensor(golden: &StateDict, name: &str) -> Tensor {
    golden.tensors[name].to_tensor().unwrap()
}

fn apart(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

#[test]
fn patches_are_the_papers() {
    let golden = golden();
    let found = patches(&[tensor(&golden, "first"), tensor(&golden, "second")]).unwrap();
    assert_eq!((found.images, found.height, found.width), (2, 7, 9));
    let expected = tensor(&golden, "patches").reshape([2 * 7 * 9, 11]);
    assert!(apart(&found.rows, &expected) < 1e-6);
}

#[test]
fn scores_and_heat_maps_are_the_papers() {
    let golden = golden();
    let (rows, memory) = (tensor(&golden, "patches"), tensor(&golden, "memory"));
    for image in 0..2 {
        let rows = rows.select(0, image).reshape([7 * 9, 11]);
        let scored = score(&rows, (7, 9), &memory, 9).unwrap();
        let found = scored.best.unwrap().score;
        let expected = tensor(&golden, "scores").double_value(&[image]);
        assert!((f64::from(found) - expected).abs() < 1e-5, "{found} for {expected}");
        let heat = heat_map(&scored.distances, (28, 36), 2.0).unwrap();
        let expected = tensor(&golden, "heats").select(0, image);
        assert!(apart(&heat, &expected) < 2e-3, "{}", apart(&heat, &expected));
        // The best neighbour alone: the plain maximum.
        let plain = score(&rows, (7, 9), &memory, 1).unwrap();
        let highest = plain.best.unwrap().score;
        assert!(highest > found);
        assert!((f64::from(highest) - scored.distances.max().double_value(&[])).abs() < 1e-6);
    }
}
