//! NaN and infinity are refused by whatever uses a network, with the network and the frame or image in the message.

use std::sync::Arc;

use seed::ErrorKind;
use seed::config::{Config, DetectorKind, Precision};
use seed::data::{Dataset, Frame, FrameView, Input, PixelFormat};
use seed::infer::{AnomalyDetector, Classifier, ClassifierHeader, Output, Session, SessionOptions};
use seed::model::{Architecture, Head, Network};
use tch::Device;

/// A network of finite weights, one of which makes every product behind it overflow.
fn overflowing(head: Head, weight: &str) -> Network {
    let network = Network::new(Architecture::ResNet10, head, 1, Device::Cpu).unwrap();
    let (_, found) = network.parameters().into_iter().find(|(name, _)| name == weight).unwrap();
    let _ = found.detach().fill_(1e38);
    network
}

fn view() -> Input {
    Input { width: 64, height: 64, ..Input::default() }
}

fn pixels() -> Vec<u8> {
    (0..64 * 64).map(|i| (i * 7 % 251) as u8).collect()
}

fn dataset() -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for name in ["a/first.png", "b.png", "c.png", "d.png"] {
        dataset.push_frame(name, Frame::new(64, 64, 1, pixels()).unwrap()).unwrap();
    }
    Arc::new(dataset)
}

fn check<T>(result: seed::Result<T>, image: &str) {
    let error = result.err().unwrap_or_else(|| panic!("{image}: NaN was taken"));
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    let expected = format!("the network (resnet10) gave infinity or NaN for {image}");
    assert!(error.message().contains(&expected), "{error}, expected {expected}");
}

#[test]
fn sessions_refuse_rows_and_maps() {
    let head = Head::Projection { hidden: 8, dim: 8 };
    let bytes = pixels();
    let frame = FrameView::new(&bytes, 64, 64, 64, PixelFormat::Mono8).unwrap();
    let sound = Session::new(
        &Network::new(Architecture::ResNet10, head, 1, Device::Cpu).unwrap(),
        &view(),
        SessionOptions::default(),
    );
    assert!(sound.unwrap().embed(&[frame]).is_ok());
    for output in [Output::Embedding, Output::Features] {
        let weight = if output == Output::Embedding { "projection.0.weight" } else { "layer4.0.conv2.weight" };
        let options = SessionOptions { output, ..SessionOptions::default() };
        let session = Session::new(&overflowing(head, weight), &view(), options).unwrap();
        let mut out = vec![7f32; 2 * session.dim()];
        check(session.embed_into(&[frame, frame], &mut out), "frame 0");
        assert!(out.iter().all(|&value| value == 7.0), "the caller's memory is left alone");
        check(session.embed(&vec![frame; 20]), "frame 0");
        check(session.embed_dataset(&dataset(), 2, 1, &mut |_, _| true), "image a/first.png");
        let images = tch::Tensor::from_slice(&bytes).view([1, 64, 64, 1]);
        check(session.embed_tensor(&images), "image 0 of the tensor");
    }
    let session =
        Session::new(&overflowing(head, "layer2.0.conv2.weight"), &view(), SessionOptions::default()).unwrap();
    check(session.feature_maps(&[frame], &["layer2"]), "frame 0");
    assert!(session.feature_maps(&[frame], &["layer1"]).is_ok());
}

#[test]
fn classifiers_refuse_and_tell_what_was_not_held_out() {
    let network = overflowing(Head::Classifier { classes: 2 }, "fc.weight");
    let header = ClassifierHeader::uncalibrated(vec!["a".into(), "b".into()]);
    let classifier = Classifier::new(network, &view(), header, SessionOptions::default()).unwrap();
    let bytes = pixels();
    check(classifier.classify(&[FrameView::new(&bytes, 64, 64, 64, PixelFormat::Mono8).unwrap()]), "frame 0");
    check(classifier.classify_dataset(&dataset(), 2, 1, &mut |_, _| true), "image a/first.png");
    check(classifier.judge(&dataset(), &[0, 1, 0, 1], 2, 1, &mut |_, _| true), "image a/first.png");
    assert!(classifier.warnings().text().starts_with("no image was held out"), "{}", classifier.warnings().text());
}

#[test]
fn detectors_refuse_to_learn_and_to_judge() {
    let mut config = Config { device: "cpu".into(), precision: Precision::Fp32, ..Config::default() };
    let fit = |config: &Config, network: &Network| {
        AnomalyDetector::fit(network, &view(), config, SessionOptions::default(), &dataset(), &mut |_, _| true)
    };
    let bad = overflowing(Head::None, "layer2.0.conv2.weight");
    config.anomaly.held_out = 0.0;
    // The first that is learned, whichever that is.
    check(fit(&config, &bad), "image ");
    (config.anomaly.kind, config.anomaly.epochs) = (DetectorKind::Stfpm, 1);
    check(fit(&config, &bad), "image ");
    let detector = fit(&config, &Network::new(Architecture::ResNet10, Head::None, 1, Device::Cpu).unwrap()).unwrap();
    assert!(detector.threshold().score.is_finite() && detector.threshold().rate.is_nan());
    assert!(detector.warnings().text().starts_with("none of the 4 good parts was held out"));
}
