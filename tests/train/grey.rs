//! Networks with one channel: folded from three they are the same network on grey frames; the loop, the bank, sessions and files
//! carry them, the teacher sees the frame as it would in colour, and classifiers and detectors are made of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use seed::ErrorKind;
use seed::config::{Config, QueueFill};
use seed::data::random::{Purpose, generator};
use seed::data::render::{render, render_frame};
use seed::data::{Dataset, Frame, FrameView, Input, PixelFormat, Scratch, ViewParams};
use seed::distill::bank::Bank;
use seed::distill::views::for_teacher;
use seed::infer::{AnomalyDetector, Classifier, Output, Session, SessionOptions};
use seed::model::student_file::{StudentHeader, load_student, save_student};
use seed::model::weights::StateDict;
use seed::model::{Architecture, Head, Load, Mode, Network, Teacher, fold_stem};
use seed::train::finetune::{Labelled, Start, finetune};
use seed::train::{CancelToken, Control, Distillation, fill_bank};
use tch::{Device, Kind, Tensor};

const SIDES: (u32, u32) = (90, 70);

/// Clouds and stripes, another picture for each number.
fn pixels(number: u32) -> Vec<u8> {
    let level = |x: u32, y: u32| {
        let (x, y, n) = (x as f32, y as f32, number as f32);
        120.0 + 70.0 * (x * (0.05 + 0.01 * n) + n).sin() * (y * 0.07).cos() + 40.0 * ((x + y) * (0.3 + 0.05 * n)).sin()
    };
    (0..SIDES.0 * SIDES.1).map(|i| level(i % SIDES.0, i / SIDES.0).clamp(0.0, 255.0) as u8).collect()
}

fn mono(pixels: &[u8]) -> FrameView<'_> {
    FrameView::new(pixels, SIDES.0, SIDES.1, SIDES.0 as usize, PixelFormat::Mono8).unwrap()
}

fn view(channels: u32) -> Input {
    Input { width: 64, height: 48, channels, ..Input::default() }
}

fn parse(name: &str) -> Architecture {
    Architecture::parse(name).unwrap()
}

/// A network of three channels whose running statistics are those of images, and its weights folded to one channel.
fn pair(name: &str, head: Head, normal: &Input) -> (Network, Network) {
    let three = Network::new(parse(name), head, 5, Device::Cpu).unwrap();
    let _no_grad = tch::no_grad_guard();
    for step in 0..3u64 {
        let images = Tensor::linspace(-40.0, 60.0, 8 * 3 * 64 * 48, (Kind::Float, Device::Cpu));
        let images = (images * (1.0 + 0.1 * step as f64)).sin().reshape([8, 3, 48, 64]);
        let _output = three.forward(&images, Mode::Train { noise: step }).unwrap();
    }
    let one = Network::with_channels(parse(name), head, 1, 9, Device::Cpu).unwrap();
    let state = StateDict { tensors: three.to_state().unwrap().into_iter().collect(), metadata: BTreeMap::new() };
    let refused = one.load(&state, Load::Everything).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Mismatch, "{refused}");
    one.load(&fold_stem(&one, state, normal).unwrap(), Load::Everything).unwrap();
    (three, one)
}

/// Largest difference of features on grey frames, of the largest feature; and the smallest cosine.
fn apart(name: &str, normal: &Input) -> (f64, f64) {
    let (three, one) = pair(name, Head::None, normal);
    let (mut error, mut cosine) = (0f64, 1f64);
    let options = || SessionOptions { output: Output::Features, ..Default::default() };
    let colour = Session::new(&three, normal, options()).unwrap();
    let grey = Session::new(&one, normal, options()).unwrap();
    assert_eq!((colour.input().channels, grey.input().channels), (3, 1));
    for number in 0..3 {
        let pixels = pixels(number);
        let rows = [&colour, &grey].map(|session| Tensor::from_slice(&session.embed(&[mono(&pixels)]).unwrap()));
        let scale = rows[0].abs().max().double_value(&[]);
        error = error.max((&rows[0] - &rows[1]).abs().max().double_value(&[]) / scale);
        cosine = cosine.min(Tensor::cosine_similarity(&rows[0], &rows[1], 0, 1e-12).double_value(&[]));
    }
    (error, cosine)
}

#[test]
fn a_folded_network_is_the_network_of_three_channels_on_grey_frames() {
    // One mean, three deviations: exact but for rounding.
    let equal = Input { mean: [0.45; 3], std: [0.2, 0.25, 0.3], ..view(3) };
    for name in ["resnet10", "mobilenet_v2_w0.5", "mobilenet_v3_small", "efficientnet_b0", "tf_efficientnet_b0"] {
        let (error, _) = apart(name, &equal);
        assert!(error < 1e-4, "{name}: {error}");
    }
    // A transformer has no borders: exact with ImageNet's means as well.
    let (error, _) = apart("vit_small_patch16", &view(3));
    assert!(error < 1e-4, "{error}");
}

/// Fits to grey frames and answers to two that it has not seen.
fn fitted(network: &Network, normal: &Input, mode: &str) -> Vec<f32> {
    let good = Dataset::in_memory();
    for number in 0..12 {
        good.push(&number.to_string(), &mono(&pixels(number))).unwrap();
    }
    let mut config = config("workers");
    let (first, second) = (pixels(20), pixels(21));
    let frames = [mono(&first), mono(&second)];
    let options = SessionOptions { precision: Some(Kind::Float), ..SessionOptions::default() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    if let "patchcore" | "stfpm" = mode {
        config.set_string("anomaly.kind", mode).unwrap();
        // All patches, since rounding must not choose.
        (config.anomaly.memory_share, config.anomaly.epochs, config.anomaly.batch_size) = (1.0, 1, 4);
        let fitted = AnomalyDetector::fit(network, normal, &config, options, &good, &mut |_, _| true).unwrap();
        fitted.save(&path).unwrap();
        let detector = AnomalyDetector::open(&path, options).unwrap();
        return detector.judge(&frames, false).unwrap().iter().map(|one| one.score).collect();
    }
    config.set_string("finetune.mode", mode).unwrap();
    (config.finetune.epochs, config.finetune.batch_size, config.workers) = (1, 4, 1);
    let start = Start::student(network, &StudentHeader::new(network, normal)).unwrap();
    let labels: Vec<i32> = (0..12).map(|number| number % 2).collect();
    let names = ["even".to_owned(), "odd".to_owned()];
    let labelled = Labelled { dataset: &Arc::new(good), labels: &labels, names: &names };
    let fitted = finetune(&config, start, None, &labelled, &CancelToken::new(), |_| Control::Continue).unwrap().0;
    fitted.save(&path).unwrap();
    let classifier = Classifier::open(&path, options).unwrap();
    classifier.classify(&frames).unwrap().probabilities().to_vec()
}

#[test]
fn grey_students_become_classifiers_and_detectors() {
    let equal = Input { mean: [0.45; 3], std: [0.2, 0.25, 0.3], ..view(3) };
    let (three, one) = pair("resnet10", Head::None, &equal);
    for mode in ["linear", "patchcore"] {
        // The same features, so the same answers.
        let (colour, grey) = (fitted(&three, &equal, mode), fitted(&one, &equal, mode));
        let scale = colour.iter().fold(0f32, |scale, number| scale.max(number.abs()));
        let error = colour.iter().zip(&grey).fold(0f32, |error, (a, b)| error.max((a - b).abs())) / scale;
        assert!(error < 1e-2, "{mode}: {error}: {colour:?}, {grey:?}");
    }
    for mode in ["full", "stfpm"] {
        assert!(fitted(&one, &equal, mode).iter().all(|number| number.is_finite()), "{mode}");
    }
}

#[test]
fn with_means_that_differ_the_border_alone_differs() {
    // The first layer's map of a frame with ImageNet's means: equal in the middle, not at the edge.
    let (three, one) = pair("resnet10", Head::None, &view(3));
    let stem = |network: &Network, images: &Tensor| {
        let tensors: BTreeMap<String, Tensor> = network.tensors().into_iter().collect();
        let map = images.conv2d(&tensors["conv1.weight"], None::<Tensor>, [2, 2], [3, 3], [1, 1], 1);
        map - tensors["bn1.running_mean"].view([1, -1, 1, 1])
    };
    let grey = Tensor::from_slice(&pixels(1)).view([1, 1, 70, 90]).to_kind(Kind::Float) / 255.0;
    let normal = view(3);
    let colours = Tensor::cat(&(0..3).map(|c| (&grey - normal.mean[c]) / normal.std[c]).collect::<Vec<_>>(), 1);
    let (mean, std) = normal.grey_normal();
    let _no_grad = tch::no_grad_guard();
    let difference = (stem(&three, &colours) - stem(&one, &((&grey - mean) / std))).abs();
    let middle = difference.narrow(2, 2, 31).narrow(3, 2, 41);
    assert!(middle.max().double_value(&[]) < 1e-4, "{}", middle.max().double_value(&[]));
    assert!(difference.max().double_value(&[]) > 1e-2);
    for name in ["resnet10", "mobilenet_v3_small"] {
        let (error, cosine) = apart(name, &view(3));
        println!(
            "{name} with ImageNet's means: cosine {cosine:.6}, largest difference {error:.4} of the largest feature"
        );
        assert!(cosine > 0.99, "{name}: {cosine}");
    }
}

#[test]
fn the_teacher_sees_a_grey_frame_as_in_colour() {
    let pixels = pixels(2);
    let frame = mono(&pixels).to_frame().unwrap();
    let rgb: Vec<u8> = pixels.iter().flat_map(|&level| [level, level / 2, 255 - level]).collect();
    let coloured = Frame::new(SIDES.0, SIDES.1, 3, rgb).unwrap();
    let draw = |frame: &Frame, input: &Input, params: Option<&ViewParams>| {
        let mut out = vec![0f32; input.view_len()];
        match params {
            Some(params) => render(frame, params, &(*input).into(), &mut out, &mut Scratch::new()).unwrap(),
            None => render_frame(frame, input, &mut out, &mut Scratch::new()).unwrap(),
        }
        Tensor::from_slice(&out).view([1, 48, 64, i64::from(input.channels)]).permute([0, 3, 1, 2])
    };
    for step in 0..20 {
        let params = ViewParams::sample(&view(3).into(), SIDES.0, SIDES.1, &mut generator(3, step, 0, Purpose::View));
        let params = (step > 0).then_some(params);
        let colour = draw(&frame, &view(3), params.as_ref());
        let grey = draw(&frame, &view(1), params.as_ref());
        let made = for_teacher(&grey, &view(1)).unwrap();
        assert_eq!(made.size(), colour.size());
        let apart = (made - colour).abs().max().double_value(&[]);
        assert!(apart < 1e-5, "view {step}: {apart}");
        // A coloured frame loses its colours first; a view without colours is the same then.
        let mut params = params;
        if let Some(params) = &mut params {
            params.jitter = None;
            params.grey = true;
        }
        if let Some(params) = &params {
            let colour = draw(&coloured, &view(3), Some(params));
            let grey = draw(&coloured, &view(1), Some(params));
            let made = for_teacher(&grey, &view(1)).unwrap();
            assert!((made - colour).abs().max().double_value(&[]) < 1e-5, "coloured view {step}");
        }
    }
}

const DIM: i64 = 16;

fn dataset() -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for number in 0..12 {
        let pixels = pixels(number);
        if number % 3 == 0 {
            // One coloured frame among the grey ones.
            let rgb: Vec<u8> = pixels.iter().flat_map(|&level| [level, level, 255 - level]).collect();
            let frame = FrameView::new(&rgb, SIDES.0, SIDES.1, 3 * SIDES.0 as usize, PixelFormat::Rgb8).unwrap();
            dataset.push(&number.to_string(), &frame).unwrap();
        } else {
            dataset.push(&number.to_string(), &mono(&pixels)).unwrap();
        }
    }
    Arc::new(dataset)
}

fn config(device: &str) -> Config {
    let mut config = Config {
        batch_size: 6,
        steps: 4,
        view_count: 1,
        queue_capacity: 12,
        queue_fill: QueueFill::Noise,
        embedding_dim: DIM as u64,
        progress_every: 1,
        accumulation_steps: 2,
        ..Config::default()
    };
    config.set_string("device", "cpu").unwrap();
    config.set_string("precision", "fp32").unwrap();
    config.set_string("view.device", device).unwrap();
    config.set_int("image_channels", 1).unwrap();
    config.set_int("image_width", 64).unwrap();
    config.set_int("image_height", 48).unwrap();
    config
}

fn student(channels: i64) -> Network {
    let head = Head::Projection { hidden: 0, dim: DIM };
    Network::with_channels(parse("resnet10_w0.25"), head, channels, 1, Device::Cpu).unwrap()
}

fn teacher() -> Arc<Teacher> {
    let head = Head::Projection { hidden: 0, dim: DIM };
    Arc::new(Teacher::new(Network::new(parse("resnet10"), head, 2, Device::Cpu).unwrap()).unwrap())
}

fn losses(run: &mut Distillation) -> Vec<f64> {
    let mut losses = Vec::new();
    run.run(None, &CancelToken::new(), |progress| {
        // The first report comes before there is a loss.
        losses.extend(Some(progress.loss).filter(|loss| !loss.is_nan()));
        Control::Continue
    })
    .unwrap();
    losses
}

#[test]
fn a_grey_student_is_distilled_online_and_over_a_bank() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for device in ["workers", "device"] {
        let config = config(device);
        let shared = Arc::new(Mutex::new(student(1)));
        let mut run = Distillation::new(config.clone(), Arc::clone(&shared), teacher(), None, Some(dataset())).unwrap();
        all.push(losses(&mut run));
        let path = folder.path().join(device);
        fill_bank(&path, &config, &teacher(), &dataset(), None, &CancelToken::new(), |_| Control::Continue).unwrap();
        let bank = Arc::new(Bank::open(&path).unwrap());
        let own = Arc::new(Mutex::new(student(1)));
        let mut run = Distillation::new(config.clone(), own, Arc::clone(&bank), None, Some(dataset())).unwrap();
        all.push(losses(&mut run));

        // A bank of grey views does not serve a run in colour.
        let mut colour = config;
        colour.set_int("image_channels", 3).unwrap();
        let own = Arc::new(Mutex::new(student(3)));
        let error = Distillation::new(colour, own, bank, None, Some(dataset())).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        assert!(error.message().contains("channels"), "{error}");
    }
    assert_eq!(all[0].len(), 4);
    for other in &all[1..] {
        for (a, b) in all[0].iter().zip(other) {
            assert!(a.is_finite() && (a - b).abs() < 2e-3 * a.abs(), "{all:?}");
        }
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let own = Arc::new(Mutex::new(student(3)));
    let error = Distillation::new(config("workers"), own, teacher(), None, Some(dataset())).err().unwrap();
    assert!(error.message().contains("student takes images of 3 channels, but image_channels is 1"), "{error}");
    let mut two = Config::default();
    two.set_int("image_channels", 2).unwrap();
    assert!(two.validate().unwrap_err().message().contains("image_channels is 2"));
    assert!(Config::default().set_int("image_channels", 4).is_err());
    let (head, device) = (Head::None, Device::Cpu);
    assert!(Network::with_channels(parse("resnet10"), head, 2, 1, device).is_err());
    assert!(Teacher::new(student(1)).err().unwrap().message().contains("three channels"));
    let images = Tensor::zeros([1, 3, 48, 64], (Kind::Float, Device::Cpu));
    let error = student(1).features(&images, Mode::Eval).unwrap_err();
    assert!(error.message().contains("images must be (B, 1, H, W)"), "{error}");
    // Settings that were saved before there were channels are the same settings.
    assert!(!serde_json::to_string(&view(3)).unwrap().contains("channels"));
    assert_eq!(serde_json::from_str::<Input>("{}").unwrap().channels, 3);
    assert_eq!(serde_json::from_str::<Input>(&serde_json::to_string(&view(1)).unwrap()).unwrap(), view(1));
}

#[test]
fn a_grey_students_file_says_so_and_serves_every_kind_of_image() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grey.safetensors");
    let network = student(1);
    save_student(&path, &network, &StudentHeader::new(&network, &view(1))).unwrap();
    let (loaded, header) = load_student(&path).unwrap();
    assert_eq!((loaded.channels(), header.input.channels), (1, 1));
    assert!(loaded.to_state().unwrap() == network.to_state().unwrap());
    assert!(loaded.deep_copy().unwrap().channels() == 1);
    let wrong = StudentHeader { input: view(3), ..header };
    assert!(save_student(&path, &network, &wrong).unwrap_err().message().contains("for 3 channels"));

    let session = Session::open(&path, SessionOptions::default()).unwrap();
    let pixels = pixels(4);
    let rgb: Vec<u8> = pixels.iter().flat_map(|&level| [level; 3]).collect();
    let colour = FrameView::new(&rgb, SIDES.0, SIDES.1, 3 * SIDES.0 as usize, PixelFormat::Rgb8).unwrap();
    let expected = session.embed(&[mono(&pixels)]).unwrap();
    assert_eq!(session.embed(&[colour]).unwrap(), expected);
    let mut view_of_it = vec![0f32; session.input().view_len()];
    render_frame(&mono(&pixels).to_frame().unwrap(), session.input(), &mut view_of_it, &mut Scratch::new()).unwrap();
    let (h, w) = (i64::from(SIDES.1), i64::from(SIDES.0));
    for images in [
        Tensor::from_slice(&pixels).view([1, h, w, 1]),
        Tensor::from_slice(&rgb).view([1, h, w, 3]),
        Tensor::from_slice(&view_of_it).view([1, 1, 48, 64]),
    ] {
        let found = session.embed_tensor(&images).unwrap();
        let cosine = Tensor::cosine_similarity(&found.select(0, 0), &Tensor::from_slice(&expected), 0, 1e-12);
        assert!(cosine.double_value(&[]) > 0.9999, "{:?}: {cosine:?}", images.size());
    }
    let colours = Tensor::zeros([1, 3, 48, 64], (Kind::Float, Device::Cpu));
    assert!(session.embed_tensor(&colours).unwrap_err().message().contains("(B, 1, 48, 64)"));
    let dataset = dataset();
    let rows = session.embed_dataset(&dataset, 4, 1, &mut |_, _| true).unwrap();
    assert_eq!(rows.len(), 12 * session.dim());
    assert!(rows.iter().all(|number| number.is_finite()));
}
