//! An ONNX file: written, read back, compared, and only then put in place.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use prost::Message;
use prost::bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::onnx;
use crate::onnx::proto::{FLOAT, Graph, INT64, Model};
use crate::sys::disk;

/// Writes the model. Its numbers are compared with the library's by the tests, in ONNX Runtime; here the file is compared with what
/// it was made of.
pub(super) fn write(path: &Path, graph: Graph, texts: &BTreeMap<String, String>) -> Result<()> {
    let model = onnx::model(graph, texts);
    let bytes = onnx::encoded(&model)?;
    disk::replace_checked(path, |mut file, temporary| {
        file.write_all(&bytes).map_err(|source| Error::io("write", path, &source))?;
        drop((file, bytes));
        let bytes = std::fs::read(temporary).map_err(|source| Error::io("read back", path, &source))?;
        // Weights are parts of `bytes`, not copies.
        let found = Model::decode(Bytes::from(bytes)).map_err(|error| damaged(&error.to_string()))?;
        if found != model {
            return Err(damaged("it is not what was written"));
        }
        check_graph(found.graph.as_ref().ok_or_else(|| damaged("it has no graph"))?)
    })
}

fn damaged(reason: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("the ONNX model cannot be read back: {reason}"))
}

/// Every value is made once, before it is read; weights are as long as their shapes say.
fn check_graph(graph: &Graph) -> Result<()> {
    let mut known = BTreeSet::new();
    for weights in &graph.initializer {
        let elements = weights.dims.iter().try_fold(1usize, |all, &side| all.checked_mul(usize::try_from(side).ok()?));
        let bytes = match weights.data_type {
            FLOAT => elements.and_then(|all| all.checked_mul(4)),
            INT64 => elements.and_then(|all| all.checked_mul(8)),
            _ => None,
        };
        if bytes != Some(weights.raw_data.len()) {
            return Err(damaged(&format!(
                "{} has {} bytes for {:?}",
                weights.name,
                weights.raw_data.len(),
                weights.dims
            )));
        }
        if !known.insert(weights.name.as_str()) {
            return Err(damaged(&format!("{} is there twice", weights.name)));
        }
    }
    known.extend(graph.input.iter().map(|input| input.name.as_str()));
    for node in &graph.node {
        if let Some(strange) = node.input.iter().find(|input| !known.contains(input.as_str())) {
            return Err(damaged(&format!("{} reads {strange}, which nothing before it makes", node.name)));
        }
        if let Some(twice) = node.output.iter().find(|output| !known.insert(output)) {
            return Err(damaged(&format!("{twice} is made twice")));
        }
    }
    match graph.output.iter().find(|output| !known.contains(output.name.as_str())) {
        Some(missing) => Err(damaged(&format!("nothing makes the output {}", missing.name))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::proto::{Node, ValueInfo, Weights};

    fn node(input: &[&str], output: &str) -> Node {
        let input = input.iter().map(|&name| name.to_owned()).collect();
        Node { input, output: vec![output.to_owned()], name: format!("make_{output}"), ..Node::default() }
    }

    fn sound() -> Graph {
        Graph {
            node: vec![node(&["images", "w"], "a"), node(&["a"], "out")],
            initializer: vec![Weights {
                dims: vec![2],
                data_type: FLOAT,
                name: "w".to_owned(),
                raw_data: vec![0; 8].into(),
            }],
            input: vec![ValueInfo::batch_of("images", FLOAT, &[3])],
            output: vec![ValueInfo::batch_of("out", FLOAT, &[3])],
            ..Graph::default()
        }
    }

    #[test]
    fn a_graph_that_cannot_be_computed_is_refused() {
        check_graph(&sound()).unwrap();
        type Break = fn(&mut Graph);
        let breaks: [(Break, &str); 5] = [
            (|graph| graph.node.swap(0, 1), "reads a"),
            (|graph| graph.node[1].output[0] = "a".to_owned(), "a is made twice"),
            (|graph| graph.initializer[0].raw_data.truncate(7), "7 bytes"),
            (|graph| graph.initializer.push(graph.initializer[0].clone()), "w is there twice"),
            (|graph| drop(graph.node.pop()), "nothing makes the output out"),
        ];
        for (destroy, expected) in breaks {
            let mut graph = sound();
            destroy(&mut graph);
            let error = check_graph(&graph).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        }
    }
}
