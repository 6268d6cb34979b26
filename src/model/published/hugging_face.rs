//! Hugging Face transformers' names of ResNets and vision transformers.
//!
//! | there | here |
//! |---|---|
//! | `embedder.embedder.convolution`, `.normalization` | `conv1`, `bn1` |
//! | `encoder.stages.S.layers.I.layer.J.convolution`, `.normalization` | `layer(S+1).I.conv(J+1)`, `.bn(J+1)` |
//! | `encoder.stages.S.layers.I.shortcut.convolution`, `.normalization` | `layer(S+1).I.downsample.0`, `.1` |
//! | `embeddings.{cls_token, position_embeddings, register_tokens}` | `cls_token`, `pos_embed`, `register_tokens` |
//! | `embeddings.patch_embeddings.projection` | `patch_embed.proj` |
//! | `encoder.layer.I.attention.attention.{query, key, value}` | thirds of `blocks.I.attn.qkv` |
//! | `encoder.layer.I.attention.output.dense` | `blocks.I.attn.proj` |
//! | `layernorm_before`, `layernorm_after` (ViT); `norm1`, `norm2` (Dinov2) | `norm1`, `norm2` |
//! | `intermediate.dense`, `output.dense` (ViT); `mlp.fc1`, `mlp.fc2` (Dinov2) | `mlp.fc1`, `mlp.fc2` |
//! | `layer_scale1.lambda1`, `layer_scale2.lambda1` | `ls1.gamma`, `ls2.gamma` |
//! | `layernorm` | `norm` |
//!
//! transformers 5 holds a ViT under other names in memory (`layers.I.attention.q_proj`) than it writes to safetensors; both are
//! read, since torch.save writes those in memory.

use super::target::{Target, whole};

/// torchvision's name of a ResNet's tensor.
pub(super) fn resnet(name: &str) -> Option<Target> {
    let (module, leaf) = name.rsplit_once('.')?;
    let kind = |last: &str| match last {
        "convolution" => Some(0),
        "normalization" => Some(1),
        _ => None,
    };
    let ours = if let Some(last) = module.strip_prefix("embedder.embedder.") {
        ["conv1", "bn1"][kind(last)?].to_owned()
    } else {
        let mut parts = module.strip_prefix("encoder.stages.")?.split('.');
        let stage = number(parts.next()?)?.checked_add(1)?;
        let ("layers", block) = (parts.next()?, number(parts.next()?)?) else { return None };
        match (parts.next()?, parts.next()?, parts.next(), parts.next()) {
            ("layer", layer, Some(last), None) => {
                let layer = number(layer)?.checked_add(1)?;
                format!("layer{stage}.{block}.{}{layer}", ["conv", "bn"][kind(last)?])
            }
            ("shortcut", last, None, None) => format!("layer{stage}.{block}.downsample.{}", kind(last)?),
            _ => return None,
        }
    };
    whole(format!("{ours}.{leaf}"))
}

/// DINO's name of a vision transformer's tensor.
pub(super) fn transformer(name: &str) -> Option<Target> {
    if let Some(rest) = name.strip_prefix("embeddings.") {
        return match rest {
            "cls_token" | "register_tokens" => whole(rest),
            "position_embeddings" => whole("pos_embed"),
            _ => whole(format!("patch_embed.proj.{}", rest.strip_prefix("patch_embeddings.projection.")?)),
        };
    }
    if let Some(leaf) = name.strip_prefix("layernorm.") {
        return whole(format!("norm.{leaf}"));
    }
    let rest = name.strip_prefix("encoder.layer.").or_else(|| name.strip_prefix("layers."))?;
    let (block, rest) = rest.split_once('.')?;
    let block = number(block)?;
    let (module, leaf) = rest.rsplit_once('.')?;
    let (module, third) = match module {
        "attention.attention.query" | "attention.q_proj" => ("attn.qkv", Some(0)),
        "attention.attention.key" | "attention.k_proj" => ("attn.qkv", Some(1)),
        "attention.attention.value" | "attention.v_proj" => ("attn.qkv", Some(2)),
        "attention.output.dense" | "attention.o_proj" => ("attn.proj", None),
        "layernorm_before" | "norm1" => ("norm1", None),
        "layernorm_after" | "norm2" => ("norm2", None),
        "intermediate.dense" | "mlp.fc1" => ("mlp.fc1", None),
        "output.dense" | "mlp.fc2" => ("mlp.fc2", None),
        "layer_scale1" if leaf == "lambda1" => return whole(format!("blocks.{block}.ls1.gamma")),
        "layer_scale2" if leaf == "lambda1" => return whole(format!("blocks.{block}.ls2.gamma")),
        _ => return None,
    };
    Some(Target { name: format!("blocks.{block}.{module}.{leaf}"), third })
}

fn number(text: &str) -> Option<usize> {
    text.parse().ok()
}
