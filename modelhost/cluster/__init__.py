"""Several processes of a service that serve one set: a desired state in the registry, and a barrier at a switch."""
