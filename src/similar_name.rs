//! Which known name a misspelt one most likely means, for "did you mean …?".

/// The known name that is most similar, by the measure that clap uses for flags; `None` when none is similar.
pub fn similar_name<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LEAST_SIMILARITY: f64 = 0.8;
    let name = name.to_ascii_uppercase();
    let similar = known.into_iter().map(|known| (strsim::jaro(&name, &known.to_ascii_uppercase()), known));
    let (similarity, nearest) = similar.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (similarity >= LEAST_SIMILARITY).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_name_is_found_whatever_its_case() {
        let known = ["startTime", "endTime", "symbol"];
        assert_eq!(similar_name("starttime", known), Some("startTime"));
        assert_eq!(similar_name("symbols", known), Some("symbol"));
        assert_eq!(similar_name("endtime", known), Some("endTime"));
        assert_eq!(similar_name("x", known), None);
        assert_eq!(similar_name("", known), None);
    }
}
