"""Delta tables, the engines that write them, IO managers and the pipeline cache."""
