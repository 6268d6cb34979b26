//! Narrow networks: the same layers with a quarter, half or three quarters of the channels, for machines without much to
//! compute with.
//!
//! A name is that of the full network with the multiplier behind it: `resnet18_w0.5`, `mobilenet_v3_large_w0.75`. Cost and
//! size fall about with the multiplier's square.
//!
//! | network | channels |
//! |---|---|
//! | ResNets | all of them times w, the stem's too: 64·w is whole, so nothing is rounded |
//! | MobileNetV2 | torchvision's `mobilenet_v2(width_mult=w)`: rounded to eights, the last layer stays 1280 |
//! | MobileNetV3 | torchvision's `_mobilenet_v3_conf(…, width_mult=w)`: rounded to eights, the last layer too |

/// A network that there are narrow ones of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Narrow {
    /// ResNet-10.
    ResNet10,
    /// ResNet-18.
    ResNet18,
    /// ResNet-34.
    ResNet34,
    /// ResNet-50.
    ResNet50,
    /// MobileNetV2.
    MobileNetV2,
    /// MobileNetV3-Small.
    MobileNetV3Small,
    /// MobileNetV3-Large.
    MobileNetV3Large,
}

/// The share of the channels that a narrow network has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Width {
    /// 0.25
    Quarter,
    /// 0.5
    Half,
    /// 0.75
    ThreeQuarters,
}

impl Width {
    pub(crate) fn factor(self) -> f64 {
        match self {
            Width::Quarter => 0.25,
            Width::Half => 0.5,
            Width::ThreeQuarters => 0.75,
        }
    }

    /// `channels` times the factor, where that is whole.
    pub(crate) fn of(self, channels: i64) -> i64 {
        match self {
            Width::Quarter => channels / 4,
            Width::Half => channels / 2,
            Width::ThreeQuarters => channels / 4 * 3,
        }
    }
}

impl Narrow {
    /// Every network in every width.
    pub(crate) fn all() -> impl Iterator<Item = (Narrow, Width)> {
        use Narrow::{MobileNetV2, MobileNetV3Large, MobileNetV3Small, ResNet10, ResNet18, ResNet34, ResNet50};
        let networks = [ResNet10, ResNet18, ResNet34, ResNet50, MobileNetV2, MobileNetV3Small, MobileNetV3Large];
        let widths = [Width::Quarter, Width::Half, Width::ThreeQuarters];
        networks.into_iter().flat_map(move |network| widths.into_iter().map(move |width| (network, width)))
    }

    pub(crate) fn name(self, width: Width) -> &'static str {
        let names = match self {
            Narrow::ResNet10 => ["resnet10_w0.25", "resnet10_w0.5", "resnet10_w0.75"],
            Narrow::ResNet18 => ["resnet18_w0.25", "resnet18_w0.5", "resnet18_w0.75"],
            Narrow::ResNet34 => ["resnet34_w0.25", "resnet34_w0.5", "resnet34_w0.75"],
            Narrow::ResNet50 => ["resnet50_w0.25", "resnet50_w0.5", "resnet50_w0.75"],
            Narrow::MobileNetV2 => ["mobilenet_v2_w0.25", "mobilenet_v2_w0.5", "mobilenet_v2_w0.75"],
            Narrow::MobileNetV3Small => {
                ["mobilenet_v3_small_w0.25", "mobilenet_v3_small_w0.5", "mobilenet_v3_small_w0.75"]
            }
            Narrow::MobileNetV3Large => {
                ["mobilenet_v3_large_w0.25", "mobilenet_v3_large_w0.5", "mobilenet_v3_large_w0.75"]
            }
        };
        match width {
            Width::Quarter => names[0],
            Width::Half => names[1],
            Width::ThreeQuarters => names[2],
        }
    }

    /// Width of the features.
    pub(crate) fn feature_dim(self, width: Width) -> i64 {
        match self {
            Narrow::ResNet10 | Narrow::ResNet18 | Narrow::ResNet34 => width.of(512),
            Narrow::ResNet50 => width.of(2048),
            Narrow::MobileNetV2 => 1280,
            Narrow::MobileNetV3Small => round_to_eight(1024.0 * width.factor()),
            Narrow::MobileNetV3Large => round_to_eight(1280.0 * width.factor()),
        }
    }
}

/// The multiple of eight nearest to `channels`, not more than a tenth below it (torchvision's `_make_divisible`).
pub(crate) fn round_to_eight(channels: f64) -> i64 {
    let rounded = (((channels + 4.0) as i64) / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * channels { rounded + 8 } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::round_to_eight;

    #[test]
    fn channels_round_as_in_torchvision() {
        let rounded: Vec<i64> =
            [4, 18, 24, 30, 36, 60, 72, 120, 144, 168, 240].map(|c| round_to_eight(c as f64)).to_vec();
        assert_eq!(rounded, [8, 24, 24, 32, 40, 64, 72, 120, 144, 168, 240]);
        // 0.75·88 = 66 → 64; 0.25·24 = 6 → 8; 0.75·24 = 18 → 16, which is too little, → 24.
        assert_eq!([66.0, 6.0, 18.0, 10.0].map(round_to_eight), [64, 8, 24, 16]);
    }
}
