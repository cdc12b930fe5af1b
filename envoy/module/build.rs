//! How the module is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Envoy unloads a module with its last configuration, and the callbacks that it remembers would go with it.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
