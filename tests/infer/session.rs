//! Sessions: right numbers, independent of batching, of threads and of training that goes on.

use std::sync::Arc;

use seed::data::render::render_frame;
use seed::data::{Dataset, FrameView, Input, PixelFormat, Scratch};
use seed::infer::{Output, Session, SessionOptions};
use seed::model::student_file::{StudentHeader, save_student};
use seed::model::{Architecture, Head, Mode, Network, Teacher, unit_rows};
use tch::{Device, Kind, Tensor};

const HEAD: Head = Head::Projection { hidden: 0, dim: 24 };

fn network() -> Network {
    Network::new(Architecture::MobileNetV3Small, HEAD, 11, Device::Cpu).unwrap()
}

fn view() -> Input {
    Input { width: 48, height: 40, ..Input::default() }
}

/// Frames of several sizes, each with its own texture.
fn pictures(count: usize) -> Vec<(Vec<u8>, u32, u32)> {
    let texture = |number: usize, at: usize| ((at * (2 * number + 7) + number * number * 31) % 251) as u8;
    (0..count)
        .map(|number| {
            let (width, height) = (50 + 3 * number as u32, 90 - number as u32);
            ((0..(width * height * 3) as usize).map(|at| texture(number, at)).collect(), width, height)
        })
        .collect()
}

fn frames(pictures: &[(Vec<u8>, u32, u32)]) -> Vec<FrameView<'_>> {
    let frame = |(bytes, width, height): &'_ (Vec<u8>, u32, u32)| (*width, *height, bytes.len());
    pictures
        .iter()
        .map(|picture| {
            let (width, height, _) = frame(picture);
            FrameView::new(&picture.0, width, height, width as usize * 3, PixelFormat::Rgb8).unwrap()
        })
        .collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn session(options: SessionOptions) -> Session {
    Session::new(&network(), &view(), options).unwrap()
}

#[test]
fn rows_are_those_of_the_network() {
    let pictures = pictures(3);
    let frames = frames(&pictures);
    let mut pixels = vec![0f32; 3 * view().view_len()];
    for (frame, out) in frames.iter().zip(pixels.chunks_exact_mut(view().view_len())) {
        render_frame(&frame.to_frame().unwrap(), &view(), out, &mut Scratch::default()).unwrap();
    }
    let images = Tensor::from_slice(&pixels).view([3, 40, 48, 3]).permute([0, 3, 1, 2]).contiguous();
    let network = network();
    let _guard = tch::no_grad_guard();
    let embedding = unit_rows(&network.forward(&images, Mode::Eval).unwrap()).unwrap();
    let features = network.features(&images, Mode::Eval).unwrap();
    for (output, expected) in [(Output::Embedding, embedding), (Output::Features, features)] {
        let session = session(SessionOptions { output, ..SessionOptions::default() });
        let expected: Vec<f32> = expected.flatten(0, -1).try_into().unwrap();
        assert_eq!(session.dim() * 3, expected.len());
        let scale = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
        assert!(largest_difference(&session.embed(&frames).unwrap(), &expected) < 1e-5 * scale.max(1.0));
    }
}

#[test]
fn batches_change_nothing() {
    // More than one chunk of 32.
    let pictures = pictures(35);
    let frames = frames(&pictures);
    let session = session(SessionOptions::default());
    let together = session.embed(&frames).unwrap();
    let single: Vec<f32> = frames.iter().flat_map(|frame| session.embed(&[*frame]).unwrap()).collect();
    assert!(largest_difference(&together, &single) < 1e-5);
    let mut out = vec![0.0; together.len()];
    session.embed_into(&frames, &mut out).unwrap();
    assert_eq!(out, together);
    assert!(session.embed_into(&frames, &mut out[1..]).is_err());
    assert!(session.embed(&[]).unwrap().is_empty());
}

#[test]
fn threads_share_a_session() {
    let pictures = pictures(6);
    let frames = frames(&pictures);
    let session = session(SessionOptions::default());
    let expected = session.embed(&frames).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert!(largest_difference(&session.embed(&frames).unwrap(), &expected) < 1e-5);
                }
            });
        }
    });
}

#[test]
fn training_that_goes_on_changes_nothing() {
    let network = network();
    let session = Session::new(&network, &view(), SessionOptions::default()).unwrap();
    let pictures = pictures(2);
    let before = session.embed(&frames(&pictures)).unwrap();
    {
        let _guard = tch::no_grad_guard();
        for (_, mut tensor) in network.parameters() {
            let _same = tensor.f_add_scalar_(0.5).unwrap();
        }
    }
    let images = Tensor::ones([4, 3, 40, 48], (Kind::Float, Device::Cpu));
    let _logits = network.forward(&images, Mode::Train { noise: 1 }).unwrap();
    assert_eq!(session.embed(&frames(&pictures)).unwrap(), before);
    assert!(network.parameters().iter().all(|(_, tensor)| tensor.requires_grad()), "the original can still learn");
}

#[test]
fn bfloat16_stays_near() {
    let pictures = pictures(4);
    let frames = frames(&pictures);
    let exact = session(SessionOptions::default()).embed(&frames).unwrap();
    let rounded = session(SessionOptions { precision: Some(Kind::BFloat16), ..SessionOptions::default() })
        .embed(&frames)
        .unwrap();
    for (a, b) in exact.chunks_exact(24).zip(rounded.chunks_exact(24)) {
        let cosine: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.999, "{cosine}");
    }
    let half = SessionOptions { precision: Some(Kind::Half), ..SessionOptions::default() };
    assert!(Session::new(&network(), &view(), half).is_err());
}

#[test]
fn auto_takes_bfloat16_only_where_embeddings_bear_it() {
    let auto = SessionOptions { precision: None, ..SessionOptions::default() };
    let chosen = session(auto);
    let bfloat16 = seed::device::precision(seed::config::Precision::Auto, Device::Cpu) == Kind::BFloat16;
    assert!(bfloat16 || chosen.precision() == Kind::Float, "no bfloat16 where the CPU does not compute in it");
    assert!(chosen.describe().starts_with("cpu, "), "{}", chosen.describe());
    // Features that nearly cancel: the last layer's output is a small difference of large numbers, which bfloat16 loses.
    let fragile = network();
    let _guard = tch::no_grad_guard();
    for (name, mut tensor) in fragile.parameters() {
        if name == "projection.2.weight" {
            let _same = tensor.f_zero_().unwrap();
            let _same = tensor.f_narrow(1, 0, 1).unwrap().f_fill_(1.0).unwrap();
        } else if name == "projection.2.bias" || name == "projection.0.bias" {
            let _same = tensor.f_zero_().unwrap();
        }
    }
    let pictures = pictures(4);
    let frames = frames(&pictures);
    let exact = Session::new(&fragile, &view(), SessionOptions::default()).unwrap().embed(&frames).unwrap();
    let found = Session::new(&fragile, &view(), auto).unwrap().embed(&frames).unwrap();
    for (a, b) in exact.chunks_exact(24).zip(found.chunks_exact(24)) {
        let cosine: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.99 || a.iter().all(|&x| x == 0.0), "{cosine}");
    }
}

#[test]
fn a_saved_student_gives_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("student.safetensors");
    let network = network();
    save_student(&path, &network, &StudentHeader::new(&network, &view())).unwrap();
    let opened = Session::open(&path, SessionOptions::default()).unwrap();
    assert_eq!((opened.input().width, opened.input().height, opened.dim()), (48, 40, 24));
    let pictures = pictures(2);
    let frames = frames(&pictures);
    assert_eq!(opened.embed(&frames).unwrap(), session(SessionOptions::default()).embed(&frames).unwrap());
    assert!(
        Session::open(&folder.path().join("absent"), SessionOptions::default())
            .unwrap_err()
            .message()
            .contains("absent")
    );
}

#[test]
fn a_teacher_is_shared() {
    let teacher = Teacher::new(network()).unwrap();
    let of_teacher = Session::of_teacher(&teacher, &view(), SessionOptions::default()).unwrap();
    let pictures = pictures(2);
    let frames = frames(&pictures);
    let rows = session(SessionOptions::default()).embed(&frames).unwrap();
    assert!(largest_difference(&of_teacher.embed(&frames).unwrap(), &rows) < 1e-5);
    let classifier =
        Network::new(Architecture::MobileNetV3Small, Head::Classifier { classes: 4 }, 0, Device::Cpu).unwrap();
    assert!(Session::new(&classifier, &view(), SessionOptions::default()).is_err());
    let features = SessionOptions { output: Output::Features, ..SessionOptions::default() };
    assert_eq!(Session::new(&classifier, &view(), features).unwrap().dim(), 1024);
}

#[test]
fn a_data_set_gives_a_row_for_each_image_and_zeros_for_a_broken_one() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = pictures(5);
    for (number, (bytes, width, height)) in pictures.iter().enumerate() {
        let path = folder.path().join(format!("{number}.png"));
        image::save_buffer(path, bytes, *width, *height, image::ExtendedColorType::Rgb8).unwrap();
    }
    std::fs::write(folder.path().join("3.png"), b"no image").unwrap();
    let dataset = Arc::new(Dataset::from_folder(folder.path()).unwrap());
    let session = session(SessionOptions::default());
    let mut told = Vec::new();
    let rows = session.embed_dataset(&dataset, 2, 1, &mut |done, total| {
        told.push((done, total));
        true
    });
    let rows = rows.unwrap();
    assert_eq!(told, [(2, 5), (4, 5), (5, 5)]);
    let direct = session.embed(&frames(&pictures)).unwrap();
    assert!(largest_difference(&rows[..72], &direct[..72]) < 1e-5);
    assert!(rows[72..96].iter().all(|&value| value == 0.0));
    assert!(largest_difference(&rows[96..], &direct[96..]) < 1e-5);
    assert_eq!(dataset.skipped().len(), 1);
    let stopped = session.embed_dataset(&dataset, 2, 1, &mut |done, _| done < 4).unwrap_err();
    assert_eq!(stopped.kind(), seed::ErrorKind::Cancelled);

    // Where nothing can be used there is nothing to give; the next call asks again.
    let (place, away) = (folder.path().to_owned(), folder.path().with_extension("away"));
    dataset.set_cache_bytes(0);
    std::fs::rename(&place, &away).unwrap();
    let error = session.embed_dataset(&dataset, 2, 1, &mut |_, _| true).unwrap_err();
    assert_eq!(error.kind(), seed::ErrorKind::Io);
    for words in ["none of the 5 images can be read", "5 cannot be opened or read, 0 are damaged", "0.png", "…"] {
        assert!(error.message().contains(words), "{error}");
    }
    std::fs::rename(&away, &place).unwrap();
    let marked = session.embed_marked(&dataset, 2, 1, &mut |_, _| true).unwrap();
    assert_eq!((marked.values == rows, marked.broken.into_iter().collect::<Vec<_>>()), (true, vec![3]));
    assert_eq!(dataset.skipped().len(), 1);
    (0..5).for_each(|i| std::fs::write(place.join(format!("{i}.png")), b"no image").unwrap());
    let error = session.embed_dataset(&dataset, 2, 1, &mut |_, _| true).unwrap_err();
    assert!(error.kind() == seed::ErrorKind::Format && error.message().contains("5 are damaged"), "{error}");
}
