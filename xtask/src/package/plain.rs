//! What Envoy takes as it is: the file, the list of what is inside, and an image with the file, for clusters.

use std::path::Path;

use super::release::Release;
use super::{oci, sbom, tree};
use crate::build::Build;
use crate::cross;
use crate::sh::Result;

/// Packs what `build` made into `out`: `secure_callbacks-0.1.0.wasm` and the like, what runs on one architecture with its name.
pub(super) fn pack(release: &Release, build: Build, artifact: &Path, out: &Path) -> Result<()> {
    let content = tree::read(artifact)?;
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().display().to_string();
    let (stem, extension) = (part(artifact.file_stem()), part(artifact.extension()));
    let (name, in_image, architecture) = match build {
        // Istio and Envoy Gateway look for this name first (the "compat" variant of the Wasm image specification), and
        // neither reads the newer Wasm artifact (`application/vnd.wasm.config.v0+json` with a layer `application/wasm`).
        // No processor runs it, but tools without `--platform` choose this one and refuse what has none.
        Build::Filter => (format!("{stem}-{}", release.version), "plugin.wasm".into(), "amd64"),
        _ => {
            let architecture = cross::architecture(build.machine());
            (format!("{stem}-{}-{architecture}", release.version), part(artifact.file_name()), architecture)
        }
    };
    tree::write(&out.join(format!("{name}.{extension}")), &content)?;
    tree::write(&out.join(format!("{name}.cdx.json")), &sbom::list(build, release, &content)?)?;
    oci::image(release, &in_image, content, architecture, &out.join(format!("{name}.oci.tar")))
}
