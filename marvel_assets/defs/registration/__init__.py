"""From a logged model to the registered version that is served."""
