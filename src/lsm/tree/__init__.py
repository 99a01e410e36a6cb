"""The tree: versions, manifest, policies, and the work that turns one version into the next."""
