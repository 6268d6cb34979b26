//! Vision Transformers against Hugging Face's and timm's: keys, parameter counts, class tokens at the trained size and at
//! others, square or not (tests/golden/make_vits.py made them); as fused programs, teachers and sessions.

use std::collections::BTreeMap;

use crate::hashed::{between, images, key_line, read_golden, read_keys, relative};
use seed::ErrorKind;
use seed::data::Input;
use seed::infer::{Output, Session, SessionOptions};
use seed::model::student_file::{StudentHeader, save_student};
use seed::model::weights::{HostTensor, StateDict, write_safetensors};
use seed::model::{Architecture, Description, Fused, Head, Load, Mode, Network, Teacher, start_from};
use tch::{Device, Kind, Tensor};

/// Of the largest number. Hugging Face computed in float64; float32 itself is off by 7e-7.
const TOLERANCE: f64 = 1e-5;

fn network(name: &str, head: Head) -> Network {
    Network::new(Architecture::parse(name).unwrap(), head, 3, Device::Cpu).unwrap()
}

/// The weights of make_vits.py.
fn fill(network: &Network) {
    let _guard = tch::no_grad_guard();
    for (number, (name, mut tensor)) in network.tensors().into_iter().enumerate() {
        let shape = tensor.size();
        let (low, high) = if shape.len() == 3 {
            (-1.0, 1.0)
        } else if shape.len() > 1 {
            let bound = (3.0 / shape[1..].iter().product::<i64>() as f64).sqrt() as f32;
            (-bound, bound)
        } else if name.ends_with("weight") || name.ends_with("gamma") {
            (0.5, 1.5)
        } else {
            (-0.2, 0.2)
        };
        tensor.copy_(&between(number as u32, &shape, low, high));
    }
}

fn filled(name: &str) -> Network {
    let network = network(name, Head::None);
    fill(&network);
    network
}

fn state_of(network: &Network) -> StateDict {
    StateDict { tensors: network.to_state().unwrap().into_iter().collect(), metadata: BTreeMap::new() }
}

fn smallest_cosine(a: &Tensor, b: &Tensor) -> f64 {
    Tensor::cosine_similarity(a, b, 1, 1e-12).min().double_value(&[])
}

#[test]
fn keys_and_shapes_are_dinos() {
    for (name, expected) in read_keys("vit_keys.txt") {
        let tensors = network(&name, Head::None).tensors();
        let found: Vec<String> = tensors.iter().map(|(name, tensor)| key_line(name, &tensor.size())).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn class_tokens_are_hugging_faces_layer_by_layer_and_fused() {
    let golden = read_golden("vits.safetensors");
    for name in read_keys("vit_keys.txt").into_keys() {
        let network = filled(&name);
        let _guard = tch::no_grad_guard();
        // make_vits.py counts the sizes of each network from 0, in this order.
        let sizes: &[(i64, i64)] = match name.as_str() {
            "vit_small_patch16" => &[(224, 224), (96, 160), (320, 64)],
            "vit_small_patch8" => &[(224, 224), (40, 64)],
            "vit_base_patch16" => &[(224, 224), (64, 96)],
            _ => &[(518, 518), (98, 140), (560, 42)],
        };
        // Prepared for the second size, so that the others resample the positions while they run.
        let (height, width) = sizes[1];
        let exact = Fused::new(&network, Kind::Float, 2, height, width).unwrap();
        let rough = Fused::new(&network, Kind::BFloat16, 1, height, width).unwrap();
        for (number, &(height, width)) in sizes.iter().enumerate() {
            let expected = &golden[&format!("{name}.{height}x{width}")];
            let images = images(number as u32, expected.size()[0], height, width);
            let found = network.features(&images, Mode::Eval).unwrap();
            let error = relative(&found, expected);
            assert!(error < TOLERANCE, "{name} {height}x{width}: {error}");
            let error = relative(&exact.features(&images).unwrap(), expected);
            assert!(error < TOLERANCE, "{name} {height}x{width}, fused: {error}");
            let cosine = smallest_cosine(&rough.features(&images).unwrap(), expected);
            assert!(cosine > 0.9995, "{name} {height}x{width}, fused in bfloat16: {cosine}");
        }
    }
}

/// timm's counts with `num_classes=0`. With registers timm has one position fewer, since it keeps the class token's inside the
/// class token.
#[test]
fn parameter_counts_are_timms() {
    for (name, expected) in [
        ("vit_small_patch8", 21_670_272),
        ("vit_small_patch16", 21_665_664),
        ("vit_small_patch14_dinov2", 22_056_192),
        ("vit_small_patch14_reg4_dinov2", 22_057_344 + 384),
        ("vit_base_patch8", 85_807_872),
        ("vit_base_patch16", 85_798_656),
        ("vit_base_patch14_dinov2", 86_579_712),
        ("vit_base_patch14_reg4_dinov2", 86_582_016 + 768),
        ("vit_large_patch16", 303_301_632),
        ("vit_large_patch14_reg4_dinov2", 304_370_688 + 1024),
    ] {
        assert_eq!(network(name, Head::None).parameter_count(), expected, "{name}");
    }
}

#[test]
fn gradients_reach_every_parameter_and_a_copy_is_equal() {
    let network = network("vit_small_patch14_reg4_dinov2", Head::Projection { hidden: 32, dim: 16 });
    let out = network.forward(&images(0, 2, 28, 42), Mode::Train { noise: 1 }).unwrap();
    (&out * &out).sum(Kind::Float).backward();
    for (name, parameter) in network.parameters() {
        let gradient = parameter.grad();
        assert!(gradient.defined(), "{name} has no gradient");
        let sum = gradient.abs().sum(Kind::Double).double_value(&[]);
        assert!(sum.is_finite() && sum > 0.0, "{name} has a gradient of {sum}");
    }
    assert_eq!(network.deep_copy().unwrap().forward(&images(0, 2, 28, 42), Mode::Eval).unwrap(), out);
}

#[test]
fn a_file_of_weights_is_a_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dinov2.safetensors");
    let network = filled("vit_small_patch14_dinov2");
    write_safetensors(&path, &network.to_state().unwrap(), &BTreeMap::new()).unwrap();
    let teacher = Teacher::from_file(network.architecture(), &path, Device::Cpu).unwrap().into_channels_last().unwrap();
    assert_eq!((teacher.head().unwrap(), teacher.embedding_dim()), (Head::None, 384));
    let batch = images(1, 2, 98, 140);
    let expected = &read_golden("vits.safetensors")["vit_small_patch14_dinov2.98x140"];
    for found in [teacher.embed(&batch).unwrap(), teacher.embed_fused(&batch, Kind::Float).unwrap()] {
        assert!(smallest_cosine(&found, expected) > 0.999_999);
        assert!((found.norm_scalaropt_dim(2, [1i64].as_slice(), false) - 1.0).abs().max().double_value(&[]) < 1e-5);
    }
    for error in [
        teacher.embed(&images(0, 1, 96, 98)).unwrap_err(),
        teacher.embed_fused(&images(0, 1, 96, 98), Kind::Float).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains("multiples of 14, got 96x98; the nearest is 98x98"), "{error}");
    }

    // Weights of another kind are refused, and the error says what it is about.
    let registers = Architecture::parse("vit_small_patch14_reg4_dinov2").unwrap();
    let error = Teacher::from_file(registers, &path, Device::Cpu).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert!(error.message().contains("1 missing: register_tokens [1, 4, 384]"), "{error}");
    let plain = self::network("vit_small_patch16", Head::None);
    let error = plain.load(&state_of(&network), Load::Everything).unwrap_err();
    assert!(error.message().contains("blocks.0.ls1.gamma"), "{error}");
}

/// `filled`, with positions of another grid under the same hash, as a file of the network trained at another image size has them.
fn file_with_grid(name: &str, grid: i64) -> StateDict {
    let mut state = state_of(&filled(name));
    let width = state.tensors["cls_token"].shape[2] as i64;
    let positions = between(1, &[1, 1 + grid * grid, width], -1.0, 1.0);
    state.tensors.insert("pos_embed".to_owned(), HostTensor::from_tensor(&positions).unwrap());
    state
}

#[test]
fn a_teacher_keeps_the_grid_of_its_file() {
    let golden = read_golden("vits.safetensors");
    for (name, grid, sizes) in [
        ("vit_small_patch16", 24, [(384, 384), (224, 224), (96, 160)]),
        ("vit_small_patch14_reg4_dinov2", 16, [(224, 224), (98, 140), (280, 266)]),
    ] {
        let architecture = Architecture::parse(name).unwrap();
        let teacher = Teacher::from_state(architecture, file_with_grid(name, grid), Device::Cpu).unwrap();
        for (number, (height, width)) in sizes.into_iter().enumerate() {
            let expected = &golden[&format!("{name}@{grid}.{height}x{width}")];
            let batch = images(number as u32, expected.size()[0], height, width);
            let error = relative(&teacher.features(&batch).unwrap(), expected);
            assert!(error < TOLERANCE, "{name} {height}x{width}: {error}");
            let fused = teacher.embed_fused(&batch, Kind::Float).unwrap();
            assert!(smallest_cosine(&fused, expected) > 0.999_999, "{name} {height}x{width}");
        }
        // What it is said to be counts the positions that it has.
        let of = |teacher: &Teacher| Description::of_teacher(teacher, &Input::default()).unwrap().parameters.unwrap();
        let published = Teacher::new(network(name, Head::None)).unwrap();
        let more = grid * grid - if grid == 24 { 14 * 14 } else { 37 * 37 };
        assert_eq!(of(&teacher) - of(&published), 384 * more, "{name}");
    }
}

/// A student's grid is its architecture's, and timm resamples in the same way.
#[test]
fn a_student_starts_from_positions_as_timm_resamples_them() {
    let golden = read_golden("vits.safetensors");
    let (name, folder) = ("vit_small_patch16", tempfile::tempdir().unwrap());
    for grid in [24, 10] {
        let path = folder.path().join(format!("{grid}.safetensors"));
        let file: Vec<_> = file_with_grid(name, grid).tensors.into_iter().collect();
        write_safetensors(&path, &file, &BTreeMap::new()).unwrap();
        let student = network(name, Head::Projection { hidden: 8, dim: 4 });
        start_from(&student, &path, &Input::default()).unwrap();
        let (_, positions) = student.tensors().into_iter().find(|(name, _)| name == "pos_embed").unwrap();
        let error = relative(&positions.slice(2, None, None, 48), &golden[&format!("resampled.{grid}.14")]);
        assert!(error < 1e-6, "{grid}: {error}");
    }
}

#[test]
fn positions_that_are_no_square_grid_are_refused_with_the_reason() {
    let architecture = Architecture::parse("vit_small_patch16").unwrap();
    let mut file = file_with_grid("vit_small_patch16", 14);
    // timm's of images of 224×320: 14×20 patches.
    let positions = Tensor::ones([1, 1 + 14 * 20, 384], (Kind::Float, Device::Cpu));
    file.tensors.insert("pos_embed".to_owned(), HostTensor::from_tensor(&positions).unwrap());
    let error = Teacher::from_state(architecture, file, Device::Cpu).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    let expected =
        "pos_embed (expected [1, 197, 384], found [1, 281, 384]: 281 positions are no square grid of patches";
    assert!(error.message().contains(expected), "{error}");
}

#[test]
fn a_classifier_in_the_weights_is_left_aside() {
    let file = state_of(&network("vit_small_patch16", Head::Classifier { classes: 5 }));
    let teacher = Teacher::from_state(Architecture::parse("vit_small_patch16").unwrap(), file, Device::Cpu).unwrap();
    assert_eq!(teacher.report().ignored, ["head.bias", "head.weight"]);
}

#[test]
fn a_student_of_a_size_that_is_no_whole_number_of_patches_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("student.safetensors");
    let network = network("vit_small_patch14_dinov2", Head::Projection { hidden: 8, dim: 8 });
    let header = |side| StudentHeader::new(&network, &Input { width: side, height: side, ..Input::default() });
    let error = save_student(&path, &network, &header(96)).unwrap_err();
    assert_eq!((error.kind(), path.exists()), (ErrorKind::InvalidArgument, false));
    // The session's words.
    let of_session = Session::new(&network, &header(96).input, SessionOptions::default()).err().unwrap();
    assert!(error.message().contains("multiples of 14, got 96x96; the nearest is 98x98"), "{error}");
    assert_eq!(of_session.message(), error.message());
    save_student(&path, &network, &header(98)).unwrap();
}

#[test]
fn a_session_takes_whole_patches() {
    let network = filled("vit_small_patch16");
    let options = || SessionOptions { output: Output::Features, ..Default::default() };
    let view = Input { width: 64, height: 32, ..Input::default() };
    let session = Session::new(&network, &view, options()).unwrap();
    let batch = images(5, 3, 32, 64);
    let _guard = tch::no_grad_guard();
    let error = relative(&session.embed_tensor(&batch).unwrap(), &network.features(&batch, Mode::Eval).unwrap());
    assert!(error < TOLERANCE, "{error}");
    let odd = Input { width: 64, height: 40, ..Input::default() };
    let error = Session::new(&network, &odd, options()).err().unwrap();
    assert!(error.message().contains("multiples of 16, got 40x64; the nearest is 48x64"), "{error}");
}
