"""Images: building, labelling, pushing, pulling, and deciding which may go. It starts no container."""
