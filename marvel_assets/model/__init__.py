"""The package that scoring environments install: the encoder, the pipeline and the wrapper that is served."""
