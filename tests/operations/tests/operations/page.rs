//! `docs/operations.md`, cut into what the suite runs.

use secure_callbacks_harness::tools::ProxyKind;

/// The page.
pub(crate) const PAGE: &str = include_str!("../../../../docs/operations.md");

/// A block of code: what stands behind the three backquotes, and what is inside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// The heading of the second level that it stands under.
    pub(crate) section: &'static str,
    /// The language.
    pub(crate) language: &'static str,
    /// The file that it is, or for `sh` the proxies that it is for.
    pub(crate) name: &'static str,
    /// The content.
    pub(crate) text: &'static str,
}

/// Every block of the page, in its order.
pub(crate) fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut section, mut rest) = ("", PAGE);
    while let Some((line, after)) = rest.split_once('\n') {
        rest = after;
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading;
        } else if let Some(info) = line.strip_prefix("```") {
            let (text, after) = rest.split_once("```\n").expect("a block ends");
            let (language, name) = info.split_once(' ').expect("a language and a name");
            blocks.push(Block { section, language, name, text });
            rest = after;
        }
    }
    blocks
}

/// The commands for the proxy, in their order; for Nginx in a directory of its own, which is how it runs here.
pub(crate) fn commands(kind: ProxyKind) -> Vec<Block> {
    let names: &[&str] = match kind {
        ProxyKind::Envoy => &["envoy"],
        ProxyKind::EnvoyModule => &["envoy-module"],
        ProxyKind::Nginx(_) => &["nginx", "own"],
    };
    let is_for = |block: &Block| block.language == "sh" && block.name.split(' ').any(|name| names.contains(&name));
    blocks().into_iter().filter(is_for).collect()
}

/// The files that the page prints, with the names it gives them.
pub(crate) fn files() -> impl Iterator<Item = Block> {
    blocks().into_iter().filter(|block| block.language != "sh")
}
