//! What a weights file may cost at most. Every reader in this folder refuses what goes beyond, before it allocates.

/// Opcodes of one pickle. A state dict needs about 40 for each tensor.
pub const MAX_OPCODES: u64 = 1 << 22;
/// Opcodes that a copied element counts for: one opcode can ask for the copy of a list of any length.
pub const COPY_COST: u64 = 16;
/// Bytes of one pickle, without the storages.
pub const MAX_PICKLE_BYTES: u64 = 256 << 20;
/// Marks that may be open at once; Python's own pickler stops at about as many levels of nesting.
pub const MAX_MARKS: usize = 1000;
/// Values on the pickle machine's stack.
pub const MAX_STACK: usize = 1 << 20;
/// Highest memo index. Picklers number the memo from zero, so it cannot exceed the number of opcodes.
pub const MAX_MEMO: u32 = 1 << 22;
/// Bytes in the module or the name of a global.
pub const MAX_GLOBAL_NAME: usize = 512;
/// Dimensions of a tensor.
pub const MAX_RANK: usize = 32;
/// Characters in the name of a tensor.
pub const MAX_NAME: usize = 4096;
/// Bytes of a zip file's central directory.
pub const MAX_ZIP_DIRECTORY: u64 = 64 << 20;
/// Bytes of a safetensors header.
pub const MAX_SAFETENSORS_HEADER: u64 = 16 << 20;
/// Bytes of an index of several safetensors files.
pub const MAX_INDEX: u64 = 64 << 20;
/// Files that an index may name.
pub const MAX_SHARDS: usize = 1000;
/// Levels at which a state dict is looked for inside the dicts of a checkpoint.
pub const MAX_LAYOUT_DEPTH: usize = 3;
/// Scalars beside a state dict (`epoch`, `arch`, …) become metadata; longer texts do not.
pub const MAX_METADATA_TEXT: usize = 256;

/// Bytes that all tensors of a file may take once they are contiguous: views of one storage and stride 0 repeat elements,
/// so this may exceed the file's length, but not without bound.
pub fn tensor_budget(file_bytes: u64) -> u64 {
    file_bytes.saturating_mul(8).saturating_add(16 << 20)
}
