//! Images that are not square, and not 224 pixels: through the views, both networks, the loss, a bank and a session.

use std::sync::{Arc, Mutex};

use seed::ErrorKind;
use seed::config::{Config, Precision, QueueFill};
use seed::data::{Dataset, FrameView, PixelFormat};
use seed::distill::bank::Bank;
use seed::infer::{Output, Session, SessionOptions};
use seed::model::{Architecture, Head, Network, Teacher};
use seed::train::{CancelToken, Control, Distillation, fill_bank};
use tch::Device;

const PICTURE: (u32, u32) = (150, 110);

fn pixels(image: u32) -> Vec<u8> {
    (0..PICTURE.0 * PICTURE.1).map(|i| (i / (1 + image % 5) * (image + 3) % (40 + 9 * image)) as u8).collect()
}

fn dataset() -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for image in 0..12 {
        let pixels = pixels(image);
        let view = FrameView::new(&pixels, PICTURE.0, PICTURE.1, PICTURE.0 as usize, PixelFormat::Mono8).unwrap();
        dataset.push(&image.to_string(), &view).unwrap();
    }
    Arc::new(dataset)
}

fn config(dim: i64, height: u32, width: u32) -> Config {
    let mut config = Config {
        batch_size: 6,
        steps: 4,
        view_count: 1,
        queue_capacity: 12,
        queue_fill: QueueFill::Noise,
        embedding_dim: dim as u64,
        progress_every: 1,
        ..Config::default()
    };
    config.device = "cpu".to_owned();
    config.precision = Precision::Fp32;
    config.view.input.height = height;
    config.view.input.width = width;
    config
}

/// Teacher and student by name, images of height × width: distils online and over a bank, then embeds.
fn distil(teacher: &str, student: &str, height: u32, width: u32) {
    let case = format!("{teacher} → {student} at {height}x{width}");
    let parse = |name| Architecture::parse(name).unwrap();
    let teacher = Network::new(parse(teacher), Head::None, 2, Device::Cpu).unwrap();
    let teacher = Arc::new(Teacher::new(teacher).unwrap());
    let dim = teacher.embedding_dim();
    let config = config(dim, height, width);
    let head = Head::Projection { hidden: 32, dim };
    let student = || Network::new(parse(student), head, 1, Device::Cpu).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("teacher.bank");
    fill_bank(&path, &config, &teacher, &dataset(), None, &CancelToken::new(), |_| Control::Continue).unwrap();
    let shared = Arc::new(Mutex::new(student()));
    let before = shared.lock().unwrap().deep_copy().unwrap();
    let mut online = Distillation::new(config.clone(), Arc::clone(&shared), teacher, None, Some(dataset())).unwrap();
    let bank = Arc::new(Bank::open(&path).unwrap());
    let mut stored =
        Distillation::new(config.clone(), Arc::new(Mutex::new(student())), bank, None, Some(dataset())).unwrap();
    let losses = |run: &mut Distillation| {
        let mut losses = Vec::new();
        run.run(None, &CancelToken::new(), |progress| {
            // The first report comes before there is a loss.
            losses.extend(Some(progress.loss).filter(|loss| !loss.is_nan()));
            Control::Continue
        })
        .unwrap();
        losses
    };
    let (a, b) = (losses(&mut online), losses(&mut stored));
    assert_eq!(a.len(), 4, "{case}");
    for (a, b) in a.iter().zip(&b) {
        // The bank keeps float16.
        assert!(a.is_finite() && (a - b).abs() < 5e-3 * a.abs(), "{case}: {a} online, {b} over the bank");
    }

    let trained = shared.lock().unwrap();
    let pixels = pixels(3);
    let frame = FrameView::new(&pixels, PICTURE.0, PICTURE.1, PICTURE.0 as usize, PixelFormat::Mono8).unwrap();
    let row = |network: &Network| {
        let options = SessionOptions { output: Output::Embedding, ..Default::default() };
        let session = Session::new(network, &config.view.input, options).unwrap();
        session.embed(&[frame]).unwrap()
    };
    let (after, before) = (row(&trained), row(&before));
    assert_eq!(after.len() as i64, dim);
    assert!((after.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-4, "{case}");
    assert_ne!(after, before, "{case}: training changed nothing");
}

#[test]
fn wide_and_tall_images_go_through_the_whole_loop() {
    distil("resnet10", "resnet18_w0.25", 96, 160);
    distil("resnet10", "mobilenet_v3_small", 320, 64);
    distil("resnet10", "tf_efficientnet_b0", 75, 101);
}

#[test]
fn a_transformer_teaches_at_any_whole_number_of_patches() {
    distil("vit_small_patch16", "resnet10_w0.5", 96, 160);
    distil("vit_small_patch14_reg4_dinov2", "mobilenet_v2_w0.25", 42, 98);
}

#[test]
fn a_size_that_a_transformer_does_not_take_is_an_error_that_says_what_fits() {
    let teacher = Network::new(Architecture::parse("vit_small_patch16").unwrap(), Head::None, 2, Device::Cpu).unwrap();
    let head = Head::Projection { hidden: 8, dim: 384 };
    let student = Network::new(Architecture::parse("resnet10_w0.25").unwrap(), head, 1, Device::Cpu).unwrap();
    let teacher = Arc::new(Teacher::new(teacher).unwrap());
    let student = Arc::new(Mutex::new(student));
    let error = Distillation::new(config(384, 90, 96), student, teacher, None, Some(dataset())).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("multiples of 16, got 90x96; the nearest is 96x96"), "{error}");
}
