//! The linear classifier, the temperature and AUROC against scikit-learn and SciPy; see tests/golden/make_classifiers.py.

use seed::eval::calibration::{fit_temperature, negative_log_likelihood, probabilities};
use seed::eval::{auroc, auroc_one_against_rest};
use seed::model::weights::{StateDict, read};
use seed::train::finetune::linear::{Problem, class_weights};
use tch::{Kind, Tensor};

fn golden() -> StateDict {
    read(&crate::golden::golden("classifiers.safetensors")).unwrap()
}

fn tensor(golden: &StateDict, name: &str) -> Tensor {
    golden.tensors[name].to_tensor().unwrap()
}

fn classes_of(golden: &StateDict, name: &str) -> Vec<usize> {
    Vec::<i64>::try_from(tensor(golden, name)).unwrap().into_iter().map(|class| class as usize).collect()
}

fn floats(golden: &StateDict, name: &str) -> Vec<f32> {
    Vec::<f32>::try_from(tensor(golden, name).view([-1]).to_kind(Kind::Float)).unwrap()
}

fn number(golden: &StateDict, name: &str) -> f64 {
    tensor(golden, name).double_value(&[0])
}

fn apart(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

#[test]
fn the_linear_classifier_is_scikit_learns() {
    let golden = golden();
    let (features, truth) = (tensor(&golden, "features"), classes_of(&golden, "truth"));
    let balanced = Vec::<f64>::try_from(tensor(&golden, "balanced")).unwrap();
    let own = class_weights(&truth, 3, true);
    assert!(own.iter().zip(&balanced).all(|(a, b)| (a - b).abs() < 1e-12), "{own:?} {balanced:?}");
    for (name, weights) in [("none", vec![1.0; 3]), ("balanced", balanced)] {
        for penalty in [0.1, 10.0] {
            let problem = Problem::new(&features, &truth, &weights, 0.0).unwrap();
            let (found, stopped) = problem.solve(penalty, None, &mut || false).unwrap();
            assert!(!stopped);
            let key = |what: &str| format!("{what}_{name}_{penalty}");
            let weight = apart(&found.weight, &tensor(&golden, &key("weight")));
            let bias = &found.bias - found.bias.mean(Kind::Double);
            let bias = apart(&bias, &tensor(&golden, &key("bias")));
            let probabilities = found.logits(&features).unwrap().softmax(1, Kind::Double);
            let probability = apart(&probabilities, &tensor(&golden, &key("probabilities")));
            assert!(
                weight < 2e-4 && bias < 2e-4 && probability < 2e-5,
                "{name} {penalty}: W {weight:e}, b {bias:e}, p {probability:e} apart"
            );
        }
    }
}

#[test]
fn a_start_elsewhere_ends_at_the_same_place() {
    let golden = golden();
    let (features, truth) = (tensor(&golden, "features"), classes_of(&golden, "truth"));
    let problem = Problem::new(&features, &truth, &[1.0; 3], 0.05).unwrap();
    let (cold, _) = problem.solve(1.0, None, &mut || false).unwrap();
    let (elsewhere, _) = problem.solve(1000.0, None, &mut || false).unwrap();
    let (warm, _) = problem.solve(1.0, Some(&elsewhere), &mut || false).unwrap();
    assert!(apart(&cold.weight, &elsewhere.weight) > 1e-2);
    assert!(apart(&cold.weight, &warm.weight) < 1e-5);
}

#[test]
fn the_temperature_is_scipys() {
    let golden = golden();
    let (logits, answer) = (floats(&golden, "logits"), classes_of(&golden, "answer"));
    let temperature = fit_temperature(&logits, 4, &answer).unwrap();
    let expected = number(&golden, "temperature");
    assert!((temperature / expected - 1.0).abs() < 1e-6, "{temperature}, expected {expected}");
    for (place, temperature) in [temperature, 1.0].into_iter().enumerate() {
        let found = negative_log_likelihood(&logits, 4, &answer, temperature).unwrap();
        let expected = tensor(&golden, "nll").double_value(&[place as i64]);
        assert!((found - expected).abs() < 1e-9, "{found}, expected {expected}");
    }
}

#[test]
fn auroc_is_scikit_learns() {
    let golden = golden();
    let scores = floats(&golden, "scores");
    let positive: Vec<bool> = (0..scores.len()).map(|i| i % 3 == 0).collect();
    let (found, expected) = (auroc(&scores, &positive).unwrap(), number(&golden, "auroc_of_scores"));
    assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    let (logits, answer) = (floats(&golden, "logits"), classes_of(&golden, "answer"));
    let rows = probabilities(&logits, 4, number(&golden, "temperature"));
    let (found, expected) = (auroc_one_against_rest(&rows, 4, &answer).unwrap(), number(&golden, "auroc"));
    assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
}
