//! A file as an OCI image layout in one tar file, to be pushed to a registry (`skopeo copy oci-archive:…`): an ordinary
//! image whose one layer holds that file, which every registry takes.

use std::path::Path;

use serde_json::{Value, json};

use super::release::Release;
use super::tree::{self, Files};
use crate::sh::Result;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Writes the layout to `archive`: the file `name`, for Linux on this `architecture`.
pub(super) fn image(release: &Release, name: &str, content: Vec<u8>, architecture: &str, archive: &Path) -> Result<()> {
    let created = release.timestamp()?;
    let layer_tar = tree::archive(&Files::from([(name.into(), content)]), release.epoch)?;
    let mut layout = Files::new();
    let config = bytes(&json!({
        "created": created,
        "architecture": architecture,
        "os": "linux",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", tree::digest(&layer_tar))] },
        "history": [{ "created": created, "created_by": "cargo xtask package" }],
    }))?;
    let manifest = bytes(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(&mut layout, CONFIG, config),
        "layers": [blob(&mut layout, LAYER, tree::compress(&layer_tar)?)],
        "annotations": {
            "org.opencontainers.image.title": "secure-callbacks",
            "org.opencontainers.image.description": "Vonage secure callbacks, verified inside Envoy",
            "org.opencontainers.image.version": release.version,
            "org.opencontainers.image.licenses": "Apache-2.0",
            "org.opencontainers.image.created": created,
        },
    }))?;
    let mut named = blob(&mut layout, MANIFEST, manifest);
    if let Some(fields) = named.as_object_mut() {
        fields.insert("annotations".into(), json!({ "org.opencontainers.image.ref.name": release.version }));
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [named] });
    layout.insert("index.json".into(), bytes(&index)?);
    layout.insert("oci-layout".into(), bytes(&json!({ "imageLayoutVersion": "1.0.0" }))?);
    tree::write(archive, &tree::archive(&layout, release.epoch)?)
}

/// Adds a blob; returns its descriptor.
fn blob(layout: &mut Files, media_type: &str, content: Vec<u8>) -> Value {
    let digest = tree::digest(&content);
    let descriptor = json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": content.len() });
    layout.insert(format!("blobs/sha256/{digest}"), content);
    descriptor
}

fn bytes(value: &Value) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| error.to_string())
}
