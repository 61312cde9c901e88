"""From a lock file to an OCI image, the same bytes everywhere; push and audit."""
