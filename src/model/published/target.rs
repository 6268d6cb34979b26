//! What a tensor of a published file becomes here.

/// What becomes of a tensor: the whole of one of ours, or a third of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub name: String,
    /// 0, 1 or 2 where query, key and value are one tensor here and three there.
    pub third: Option<usize>,
}

/// The whole of `name`.
pub(super) fn whole(name: impl Into<String>) -> Option<Target> {
    Some(Target { name: name.into(), third: None })
}
