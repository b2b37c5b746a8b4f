"""Delta tables, the engines that make them, and what is kept between runs."""
