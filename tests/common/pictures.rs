//! Students with something to fold, and pictures to compare them on: those of ../shared/data where they are, else made ones.
#![allow(dead_code)] // each test program takes what it needs

use std::path::{Path, PathBuf};

use seed::data::decode::decode_file;
use seed::model::{Architecture, Head, Mode, Network};
use tch::{Device, Kind, Tensor};

/// The architectures that are students: not the wide and deep ones, which differ in depth and width only; of the Vision
/// Transformers one with registers and LayerScale and one without.
pub fn students() -> impl Iterator<Item = Architecture> {
    let vits = ["vit_small_patch16", "vit_small_patch14_reg4_dinov2"];
    Architecture::all().iter().copied().filter(move |network| match network {
        Architecture::ViT(_) => vits.contains(&network.name()),
        Architecture::ResNet101 | Architecture::ResNet152 => false,
        other => other.feature_dim() <= 2048,
    })
}

/// Height and width of a network's pictures: whole patches where it takes patches.
pub fn size(architecture: Architecture) -> (i64, i64) {
    if architecture.name().contains("patch14") { (70, 84) } else { (64, 80) }
}

/// A network whose running statistics are those of real activations and whose head is not at its start.
pub fn trained(architecture: Architecture, head: Head) -> Network {
    let network = Network::new(architecture, head, 5, Device::Cpu).unwrap();
    let _no_grad = tch::no_grad_guard();
    let (height, width) = size(architecture);
    for noise in 0..3 {
        let images = normalised(&levels(8, height, width), &[0.5, 0.45, 0.4], &[0.2, 0.22, 0.25]) + 0.1 * noise as f64;
        let _output = network.forward(&images, Mode::Train { noise }).unwrap();
    }
    if let Architecture::ViT(_) = architecture {
        // LayerScale starts at 1e-5, which would hide the blocks.
        for (_, mut gamma) in network.parameters().into_iter().filter(|(name, _)| name.ends_with("gamma")) {
            let _same = gamma.fill_(0.5);
        }
    }
    network
}

/// Different pictures as bytes, (batch, height, width, 3).
pub fn levels(batch: i64, height: i64, width: i64) -> Tensor {
    real(batch, height, width).unwrap_or_else(|| made(batch, height, width))
}

/// Magnetic tiles, resized, a class after the other; None where the folder is not there.
fn real(batch: i64, height: i64, width: i64) -> Option<Tensor> {
    let folder = crate::shared::data("magnetic-tile/images")?;
    let sorted = |folder: &Path| -> Option<Vec<PathBuf>> {
        let mut paths: Vec<_> = std::fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        Some(paths)
    };
    let classes = sorted(&folder)?;
    let mut values = Vec::new();
    for number in 0..batch as usize {
        let files = sorted(&classes[number % classes.len()])?;
        let frame = decode_file(&files[number / classes.len()]).unwrap();
        let (own_width, own_height, grey) = (frame.width(), frame.height(), frame.channels() == 1);
        let pixels = frame.into_pixels();
        let picture = if grey {
            image::DynamicImage::from(image::GrayImage::from_raw(own_width, own_height, pixels).unwrap())
        } else {
            image::DynamicImage::from(image::RgbImage::from_raw(own_width, own_height, pixels).unwrap())
        };
        let filter = image::imageops::FilterType::Triangle;
        values.extend(picture.resize_to_fill(width as u32, height as u32, filter).to_rgb8().into_raw());
    }
    Some(Tensor::from_slice(&values).view([batch, height, width, 3]))
}

/// Smooth waves.
fn made(batch: i64, height: i64, width: i64) -> Tensor {
    let count = batch * height * width * 3;
    let values: Vec<u8> = (0..count)
        .map(|i| {
            let (place, image) = ((i % (height * width * 3)) as f32, (i / (height * width * 3)) as f32);
            let wave = (place * (0.013 + 0.007 * image)).sin() + 0.3 * (place * 0.71).cos();
            (128.0 + 90.0 * wave).clamp(0.0, 255.0) as u8
        })
        .collect();
    Tensor::from_slice(&values).view([batch, height, width, 3])
}

/// (levels/255 − mean)/std as (batch, 3, height, width).
pub fn normalised(levels: &Tensor, mean: &[f64; 3], std: &[f64; 3]) -> Tensor {
    let channels = |values: &[f64; 3]| Tensor::from_slice(values).to_kind(Kind::Float).view([1, 3, 1, 1]);
    (levels.permute([0, 3, 1, 2]).to_kind(Kind::Float) / 255.0 - channels(mean)) / channels(std)
}
