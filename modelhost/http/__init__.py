"""A host over HTTP: Open Inference Protocol, Triton's repository API, switches for operators, metrics. No decisions."""
