//! What an exported network gives: rows, or the feature maps of its four stages.
//!
//! The neck of a detector takes maps at 1/4, 1/8, 1/16 and 1/32 of the image's sides, which are called c2 to c5 (Lin et al., "Feature
//! pyramid networks", CVPR 2017). They are the last block of each size: `layer1` to `layer4` of a ResNet.

use serde_json::json;

use super::{Outputs, has_unit_rows};
use crate::error::{Error, ErrorKind, Result};
use crate::model::student_file::StudentHeader;
use crate::model::{Architecture, Head, Network, Stage};
use crate::torch::fused::Value;
use crate::torch::graph::Graph;

/// The stages' names, and of how many pixels of the image one of the map is.
const STAGES: [(&str, i64); 4] = [("c2", 4), ("c3", 8), ("c4", 16), ("c5", 32)];

/// One output.
pub(super) struct Output {
    pub name: &'static str,
    pub value: Value,
    /// Behind the batch.
    pub sides: Vec<i64>,
    /// Whether rows are divided by their length.
    pub unit_rows: bool,
}

/// The outputs' names, in the order in which the network gives them.
pub(super) fn names(head: Head, outputs: Outputs) -> Vec<&'static str> {
    let whole = if matches!(head, Head::Classifier { .. }) { "logits" } else { "embedding" };
    match outputs {
        Outputs::Embedding => vec![whole],
        Outputs::Features => vec!["features"],
        Outputs::Both => vec![whole, "features"],
        Outputs::Stages => STAGES.map(|(name, _)| name).to_vec(),
    }
}

/// The network in eval mode as a list of operations, and those of its values that are asked for.
///
/// # Errors
/// `Unsupported` where stages are asked for that the network has not.
pub(super) fn outputs(network: &Network, header: &StudentHeader, wanted: Outputs) -> Result<(Graph, Vec<Output>)> {
    let (graph, stages, features, output) = network.staged_graph()?;
    let side = |pixels: u32, stride: i64| (i64::from(pixels) + stride - 1) / stride;
    let found = match wanted {
        Outputs::Stages => {
            let map = |(name, stage): (&'static str, Stage)| {
                let (height, width) = (side(header.input.height, stage.stride), side(header.input.width, stage.stride));
                Output { name, value: stage.value, sides: vec![stage.channels, height, width], unit_rows: false }
            };
            needed(network.architecture(), named(&stages))?.into_iter().map(map).collect()
        }
        rows => {
            let row = |name| match name {
                "features" => Output { name, value: features, sides: vec![network.feature_dim()], unit_rows: false },
                _ => {
                    let unit_rows = has_unit_rows(network.head());
                    Output { name, value: output, sides: vec![network.output_dim()], unit_rows }
                }
            };
            names(network.head(), rows).into_iter().map(row).collect()
        }
    };
    Ok((graph, found))
}

/// torchvision's modules that give c2 to c5.
///
/// # Errors
/// `Unsupported` where the network has no such stages.
pub(super) fn modules(architecture: Architecture) -> Result<Vec<String>> {
    Ok(needed(architecture, stages(architecture)?)?.into_iter().map(|(_, stage)| stage.name).collect())
}

/// The metadata "stages": `[{"name": "c2", "module": "layer1", "channels": 64, "stride": 4}, …]`; None for networks without.
pub(super) fn text(architecture: Architecture) -> Result<Option<String>> {
    let stages = stages(architecture)?;
    let row = |(name, stage): &(&str, Stage)| json!({ "name": name, "module": stage.name, "channels": stage.channels, "stride": stage.stride });
    let rows: Vec<_> = stages.iter().map(row).collect();
    Ok((!rows.is_empty()).then(|| serde_json::Value::from(rows).to_string()))
}

/// c2 to c5 of an architecture, found without weights; none for networks without them.
fn stages(architecture: Architecture) -> Result<Vec<(&'static str, Stage)>> {
    let (_, stages, _, _) = Network::shape_only(architecture, Head::None, 3)?.staged_graph()?;
    Ok(named(&stages))
}

/// c2 to c5 among a network's stages; none where one is missing.
fn named(stages: &[Stage]) -> Vec<(&'static str, Stage)> {
    let find = |(name, stride)| stages.iter().find(|stage| stage.stride == stride).map(|stage| (name, stage.clone()));
    STAGES.into_iter().map(find).collect::<Option<_>>().unwrap_or_default()
}

fn needed(architecture: Architecture, stages: Vec<(&'static str, Stage)>) -> Result<Vec<(&'static str, Stage)>> {
    if stages.is_empty() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("{architecture} has no stages c2 to c5: its maps are not 1/4, 1/8, 1/16 and 1/32 of the image"),
        ));
    }
    Ok(stages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_convolutional_network_has_four_stages_and_transformers_have_none() {
        for &architecture in Architecture::all() {
            let found = stages(architecture).unwrap();
            let transformer = matches!(architecture, Architecture::ViT(_));
            assert_eq!(found.len(), if transformer { 0 } else { 4 }, "{architecture}");
            assert!(found.windows(2).all(|pair| pair[0].1.stride * 2 == pair[1].1.stride), "{architecture}");
        }
        let vit = Architecture::parse("vit_small_patch16").unwrap();
        assert_eq!(modules(vit).unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(text(vit).unwrap(), None);
        let text = text(Architecture::MobileNetV2).unwrap().unwrap();
        assert!(text.starts_with(r#"[{"channels":24,"module":"features.3","name":"c2","stride":4},"#), "{text}");
    }
}
