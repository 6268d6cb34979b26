//! Names that nearly match: which known name a person, or a file, probably meant.

/// The candidate with the smallest edit distance to `name`, unless more than half of the name would have to change.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    candidates
        // At least the difference of the lengths must change, so a hostile file's endless names cost nothing.
        .filter(|candidate| candidate.chars().take(2 * length + 1).count().abs_diff(length) * 2 <= length)
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|&(distance, _)| distance * 2 <= length)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, in characters, with one row of the table kept.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        // `diagonal` is the table's entry one up and one left of the one being filled.
        let mut diagonal = i;
        let mut before = i + 1;
        row[0] = before;
        for (j, &b) in right.iter().enumerate() {
            let filled = (diagonal + usize::from(a != b)).min(row[j + 1] + 1).min(before + 1);
            diagonal = row[j + 1];
            row[j + 1] = filled;
            before = filled;
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_textbook() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("abc", ""), 3);
        assert_eq!(edit_distance("same", "same"), 0);
    }

    #[test]
    fn nothing_is_near_to_something_quite_different() {
        assert_eq!(nearest("conv1.weight", ["conv1.weigth", "fc.bias"].into_iter()), Some("conv1.weigth"));
        assert_eq!(nearest("abc", ["xyz"].into_iter()), None);
        assert_eq!(nearest("abcd", ["ab", "abcdef", "abcdefg"].into_iter()), Some("ab"));
    }
}
