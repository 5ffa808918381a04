"""What tests of several rooms share: base images, free ports, and small services in git repositories."""
