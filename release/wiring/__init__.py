"""The one place that names concrete parts: from a tag or a state directory to the hands that operations use."""
