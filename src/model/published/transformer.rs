//! Vision transformers whose names nearly are DINO's: timm's, and DINOv2's training checkpoints.

use super::target::{Target, whole};

/// timm calls the registers `reg_token`.
pub(super) fn timm(name: &str) -> Option<Target> {
    whole(if name == "reg_token" { "register_tokens" } else { name })
}

/// `blocks.CHUNK.I.…` → `blocks.I.…`: DINOv2 shards its blocks for training, but counts them through.
pub(super) fn without_chunk(name: &str) -> Option<Target> {
    let Some(rest) = name.strip_prefix("blocks.") else { return whole(name) };
    let (chunk, rest) = rest.split_once('.')?;
    let (block, _) = rest.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(chunk) && digits(block) { whole(format!("blocks.{rest}")) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_taken_out() {
        let name = |name| without_chunk(name).map(|target| target.name);
        assert_eq!(name("blocks.1.7.attn.qkv.bias").as_deref(), Some("blocks.7.attn.qkv.bias"));
        assert_eq!(name("cls_token").as_deref(), Some("cls_token"));
        assert_eq!(name("blocks.7.attn.qkv.bias"), None);
    }
}
