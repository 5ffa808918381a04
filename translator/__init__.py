"""The bundled service: a small Chinese → English translator with a page, an API and the tools that train and publish it."""
