//! The agent's name, kept in its data directory.

use std::path::Path;

use remora_wire::SpoolId;

const NAME: &str = "agent.id";

/// The name in `dir`, made and written there if there is none. Without a directory, or where it
/// cannot be written, the name lasts as long as the process.
pub(crate) fn agent_id(dir: Option<&Path>) -> String {
    let fresh = || SpoolId::random().to_string();
    let Some(dir) = dir else { return fresh() };
    let path = dir.join(NAME);
    if let Some(id) = std::fs::read_to_string(&path).ok().and_then(|text| SpoolId::parse(text.trim())) {
        return id.to_string();
    }
    let id = fresh();
    let written = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&path, format!("{id}\n")));
    if let Err(error) = written {
        tracing::warn!(path = %path.display(), %error, "the agent's name does not last");
    }
    id
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_name_lasts_and_damage_gives_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("data");
        let id = agent_id(Some(&inside));
        assert_eq!(agent_id(Some(&inside)), id);
        std::fs::write(inside.join(NAME), "what is this").unwrap();
        let other = agent_id(Some(&inside));
        assert_ne!(other, id);
        assert_eq!(agent_id(Some(&inside)), other);
        assert_ne!(agent_id(None), agent_id(None));
    }
}
