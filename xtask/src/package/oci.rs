//! The filter as an OCI image layout in one tar file, to be pushed to a registry (`skopeo copy oci-archive:…`).
//!
//! The form is the "compat" variant of the Wasm image specification: an ordinary image whose last layer holds
//! `plugin.wasm`. Istio and Envoy Gateway both look for that first, and every registry takes it. Neither reads the
//! newer Wasm artifact (`application/vnd.wasm.config.v0+json` with a layer `application/wasm`).

use std::path::Path;

use serde_json::{Value, json};

use super::release::Release;
use super::tree::{self, Tree};
use crate::sh::Result;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Writes the layout to `archive`.
pub(super) fn image(release: &Release, module: &[u8], archive: &Path) -> Result<()> {
    let created = release.timestamp()?;
    let layout = Tree::beside(archive)?;
    let (layer, layer_tar) = layer(release, module, archive)?;
    let config = bytes(&json!({
        "created": created,
        // No processor runs it, but tools without `--platform` choose this one and refuse what has none.
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", tree::digest(&layer_tar))] },
        "history": [{ "created": created, "created_by": "cargo xtask package" }],
    }))?;
    let manifest = bytes(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(&layout, CONFIG, &config)?,
        "layers": [blob(&layout, LAYER, &layer)?],
        "annotations": {
            "org.opencontainers.image.title": "secure-callbacks",
            "org.opencontainers.image.description": "Vonage secure callbacks, verified inside Envoy",
            "org.opencontainers.image.version": release.version,
            "org.opencontainers.image.licenses": "Apache-2.0",
            "org.opencontainers.image.created": created,
        },
    }))?;
    let mut named = blob(&layout, MANIFEST, &manifest)?;
    if let Some(fields) = named.as_object_mut() {
        fields.insert("annotations".into(), json!({ "org.opencontainers.image.ref.name": release.version }));
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [named] });
    layout.add("index.json", &bytes(&index)?, 0o644)?;
    layout.add("oci-layout", &bytes(&json!({ "imageLayoutVersion": "1.0.0" }))?, 0o644)?;
    layout.tar(release.epoch, archive)
}

/// The layer as it is stored, and before compression.
fn layer(release: &Release, module: &[u8], archive: &Path) -> Result<(Vec<u8>, Vec<u8>)> {
    let file = archive.with_extension("layer");
    let content = Tree::beside(&file)?;
    content.add("plugin.wasm", module, 0o644)?;
    // Into a directory that goes away by itself.
    let place = Tree::beside(&file.with_extension("made"))?;
    let tar = place.root().join("layer");
    content.tar(release.epoch, &tar)?;
    let plain = tree::read(&tar)?;
    tree::compress(&tar)?;
    Ok((tree::read(&tar.with_extension("gz"))?, plain))
}

/// Adds a blob; returns its descriptor.
fn blob(layout: &Tree, media_type: &str, content: &[u8]) -> Result<Value> {
    let digest = tree::digest(content);
    layout.add(&format!("blobs/sha256/{digest}"), content, 0o644)?;
    Ok(json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": content.len() }))
}

fn bytes(value: &Value) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| error.to_string())
}
