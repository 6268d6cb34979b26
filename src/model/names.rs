//! Names that nearly match: which known name a person, or a file, probably meant.

/// The candidate with the smallest edit distance to `name`, unless more than half of the name would have to change.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    candidates
        // At least the difference of the lengths must change, so a hostile file's endless names cost nothing.
        .filter(|candidate| candidate.chars().take(2 * length + 1).count().abs_diff(length) * 2 <= length)
        .map(|candidate| (strsim::levenshtein(name, candidate), candidate))
        .filter(|&(distance, _)| distance * 2 <= length)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_near_to_something_quite_different() {
        assert_eq!(nearest("conv1.weight", ["conv1.weigth", "fc.bias"].into_iter()), Some("conv1.weigth"));
        assert_eq!(nearest("abc", ["xyz"].into_iter()), None);
        assert_eq!(nearest("abcd", ["ab", "abcdef", "abcdefg"].into_iter()), Some("ab"));
    }
}
