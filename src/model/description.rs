//! What a network is, in figures: for whoever has to choose, show or document one.
//!
//! ```
//! use seed::data::Input;
//! use seed::model::{Architecture, Description, Head};
//! let head = Head::Classifier { classes: 1000 };
//! let found = Description::new(Architecture::ResNet18, head, &Input::default(), serde_json::json!({}))?;
//! assert_eq!((found.parameters, found.multiply_adds), (Some(11_689_512), Some(1_814_073_344)));
//! # Ok::<(), seed::Error>(())
//! ```

use serde_json::{Value, json};

use super::cost::count;
use super::{Architecture, Head, Mode, Network, Teacher};
use crate::data::Input;
use crate::error::{ErrorKind, Result};

/// The figures of a network for images of one size.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// What it is called: the backbone's name, or what kind of teacher it is.
    pub name: String,
    /// The backbone, where it is one of ours.
    pub architecture: Option<Architecture>,
    /// The head, a projection's hidden width filled in.
    pub head: Head,
    /// Elements of parameters, head included, buffers not; None where only the application knows.
    pub parameters: Option<i64>,
    /// Multiply-adds of one image, head included; None where they cannot be counted.
    pub multiply_adds: Option<u64>,
    /// Width of the features, where there are any.
    pub feature_dim: Option<i64>,
    /// Width of the output: the embedding, the logits, or without a head the features.
    pub output_dim: i64,
    /// How a frame becomes an image.
    pub input: Input,
    /// Where the network comes from, a JSON object.
    pub provenance: Value,
}

impl Description {
    /// The network of that architecture and head for images of `input`'s size. No weights are made: it costs milliseconds and
    /// hardly any memory, whatever the network.
    ///
    /// # Errors
    /// `InvalidArgument` for a head's width out of bounds, `Config` for a view out of bounds.
    pub fn new(architecture: Architecture, head: Head, input: &Input, provenance: Value) -> Result<Description> {
        input.check()?;
        architecture.check_size(1, i64::from(input.height), i64::from(input.width), Mode::Eval)?;
        let network = Network::shape_only(architecture, head, i64::from(input.channels))?;
        let (graph, _, _) = network.graph()?;
        let multiply_adds = match count(&graph, i64::from(input.height), i64::from(input.width)) {
            Ok(count) => Some(count.multiply_adds),
            Err(error) if error.kind() == ErrorKind::Unsupported => None,
            Err(error) => return Err(error),
        };
        Ok(Description {
            name: architecture.name().to_owned(),
            architecture: Some(architecture),
            head: network.head(),
            parameters: Some(network.parameter_count()),
            multiply_adds,
            feature_dim: Some(network.feature_dim()),
            output_dim: network.output_dim(),
            input: *input,
            provenance,
        })
    }

    /// A teacher, for images of `input`'s size. Of one that is no network of ours little is known.
    ///
    /// # Errors
    /// Those of [`new`](Description::new).
    pub fn of_teacher(teacher: &Teacher, input: &Input) -> Result<Description> {
        let Some(embedder) = teacher.embedder() else {
            let input = Input { channels: 3, ..*input };
            return Description::new(teacher.architecture()?, teacher.head()?, &input, json!({}));
        };
        input.check()?;
        Ok(Description {
            name: embedder.name().to_owned(),
            architecture: None,
            head: Head::None,
            parameters: embedder.parameter_count(),
            multiply_adds: None,
            feature_dim: None,
            output_dim: embedder.dim(),
            input: Input { channels: 3, ..*input },
            provenance: json!({}),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(architecture: Architecture, head: Head, width: u32, height: u32) -> Description {
        let view = Input { width, height, ..Input::default() };
        Description::new(architecture, head, &view, Value::Null).unwrap()
    }

    /// GMac at 224² with 1000 classes: the table of SEED's networks as fvcore and torchvision count them.
    #[test]
    fn multiply_adds_are_the_published_ones() {
        for (architecture, gmac) in [
            (Architecture::ResNet18, 1.8141),
            (Architecture::ResNet34, 3.6638),
            (Architecture::ResNet50, 4.0892),
            (Architecture::ResNet101, 7.8014),
            (Architecture::ResNet152, 11.5136),
            (Architecture::MobileNetV3Large, 0.2166),
            (Architecture::EfficientNetB0, 0.3858),
            (Architecture::EfficientNetB1, 0.5697),
        ] {
            let found = described(architecture, Head::Classifier { classes: 1000 }, 224, 224).multiply_adds.unwrap();
            assert!((found as f64 / 1e9 - gmac).abs() < 6e-5, "{architecture}: {found}, expected {gmac}");
        }
        let wide = described(Architecture::ResNet50W2, Head::None, 224, 224).multiply_adds.unwrap();
        assert!((wide as f64 / 1e9 - 16.1125).abs() < 6e-5, "SwAV's wide trunk: {wide}");
    }

    #[test]
    fn the_widest_network_is_described_without_its_weights() {
        let found = described(Architecture::ResNet50W4, Head::None, 224, 224);
        assert_eq!((found.feature_dim, found.output_dim), (Some(8192), 8192));
        let narrow = described(Architecture::ResNet50W2, Head::None, 224, 224);
        assert_eq!(narrow.parameters, Some(93_907_072));
        let ratio = found.multiply_adds.unwrap() as f64 / narrow.multiply_adds.unwrap() as f64;
        assert!((3.9..4.0).contains(&ratio), "four times as many but in the stem: {ratio}");
    }

    #[test]
    fn size_and_head_count() {
        let head = Head::Projection { hidden: 64, dim: 16 };
        let wide = described(Architecture::MobileNetV3Small, head, 96, 64);
        let bare = described(Architecture::MobileNetV3Small, Head::None, 96, 64);
        assert_eq!(wide.multiply_adds.unwrap() - bare.multiply_adds.unwrap(), 1024 * 64 + 64 * 16);
        assert_eq!(wide.parameters.unwrap() - bare.parameters.unwrap(), 1024 * 64 + 64 + 64 * 16 + 16);
        assert_eq!((wide.output_dim, wide.input.width, wide.input.height), (16, 96, 64));
        let whole = described(Architecture::ResNet18, Head::None, 224, 224).multiply_adds.unwrap();
        let large = described(Architecture::ResNet18, Head::None, 448, 448).multiply_adds.unwrap();
        assert_eq!(large, 4 * whole);
        let odd = described(Architecture::ResNet18, Head::None, 225, 224).multiply_adds.unwrap();
        assert!(odd > whole, "maps round up");
    }

    /// docs/models.md has a row for every architecture: name, parameters, GMac at 224², features; without a head.
    #[test]
    fn the_table_of_the_docs_is_right() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/models.md")).unwrap();
        let rows = Architecture::all().iter().map(|&architecture| {
            let found = described(architecture, Head::None, 224, 224);
            let gmac = found.multiply_adds.unwrap() as f64 / 1e9;
            let (parameters, features) = (found.parameters.unwrap(), found.feature_dim.unwrap());
            format!("| `{architecture}` | {parameters} | {gmac:.4} | {features} |")
        });
        let missing: Vec<String> = rows.filter(|row| !page.contains(row.as_str())).collect();
        assert!(missing.is_empty(), "docs/models.md lacks\n{}", missing.join("\n"));
    }
}
