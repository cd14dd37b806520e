"""Studies: methods x data x seeds from one recipe, their statistics, and one page that shows them."""
