//! From app.yaml to manifest and blobs, and from blobs to a measured file system.
