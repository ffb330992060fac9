"""The bundled demo suite: three small packages, nine issues and recorded model answers."""
