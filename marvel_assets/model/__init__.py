"""What scoring environments install: the encoder, the pipeline, its signature and the wrapper that is served."""
